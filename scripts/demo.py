"""The main job from end to end: structures -> data set -> split -> two trained models -> scores.

Without ``--structures`` the structures are synthetic folds. Every command is printed before it
runs, so that it can be repeated by hand.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from protcontact.commands.tables import print_scores
from protcontact.data.datamodule import ContactDataModule
from protcontact.figures.contact_map import draw_contact_map, to_array
from protcontact.structure.contacts import contact_map
from protcontact.training.checkpoint import load_model

ROOT = Path(__file__).parents[1]
LONGEST_DRAWN = 250  # residues; more are hard to see
CHAINS = 400  # synthetic folds: half a minute, and enough to learn from
MODELS = {"BiLSTM": "bilstm", "Transformer": "transformer"}


def protcontact(*arguments: object) -> None:
    """Run a verb; its output goes to the terminal, its failure ends the demo."""
    words = [str(argument) for argument in arguments]
    print("\n$ protcontact " + " ".join(words), flush=True)
    quiet = os.environ | {"WANDB_SILENT": "true"}
    done = subprocess.run([sys.executable, "-m", "protcontact", *words], env=quiet)
    if done.returncode != 0:
        sys.exit(f"demo: stopped, because `protcontact {words[0]}` ended with {done.returncode}")


def make_data(out: Path, structures: list[str]) -> Path:
    """Prepare, split and audit; returns the data set."""
    data = out / "data"
    if not structures:
        folds = out / "folds"
        protcontact("synth", "--out", folds, "--chains", CHAINS, "--overwrite")
        structures = [str(folds / "structures")]
    protcontact("prepare", *structures, "--out", data)
    if not (data / "splits.tsv").is_file():
        protcontact("split", data)
    protcontact("audit", data)
    return data


def train_and_test(name: str, out: Path, data: Path) -> dict[str, dict[str, float]]:
    """Fit one model, score its best checkpoint on the test split; returns the summaries."""
    runs = out / "runs" / name
    config = ROOT / "configs" / "demo" / f"{name}.yaml"
    shutil.rmtree(runs, ignore_errors=True)
    common = ("--data.path", data, "--trainer.default_root_dir", runs)
    protcontact("fit", "--config", config, *common)
    best = runs / "version_0" / "checkpoints" / "best.ckpt"
    protcontact("test", "--config", config, "--ckpt_path", best, *common)
    return json.loads((runs / "version_1" / "test_scores.json").read_text())


def draw(out: Path, data: Path) -> Path:
    """Draw the map of one test chain by both models, side by side; returns the PNG."""
    module = ContactDataModule(str(data))
    module.setup("test")
    short = [row for row in module.rows("test") if module.store.lengths[row] <= LONGEST_DRAWN]
    row = max(short or module.rows("test"), key=lambda row: module.store.lengths[row])
    labels = contact_map(module.store[row])
    panels = []
    for title, name in MODELS.items():
        checkpoint = out / "runs" / name / "version_0" / "checkpoints" / "best.ckpt"
        with torch.no_grad():
            scores = load_model(checkpoint)(module.whole_chain(row))[0].sigmoid().numpy()
        figure = draw_contact_map(scores, labels, f"{title}: {module.store.ids[row]}")
        panels.append(to_array(figure))
    path = out / "contacts.png"
    Image.fromarray(np.concatenate(panels, axis=1)).save(path)
    return path


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for everything")
    parser.add_argument("--structures", nargs="*", default=[], help="your own structure files")
    args = parser.parse_args()
    # data sets of different inputs do not mix: each kind has its folder
    out = args.out / ("own" if args.structures else "synthetic")
    out.mkdir(parents=True, exist_ok=True)
    data = make_data(out, args.structures)
    scores = {}
    for title, name in MODELS.items():
        result = train_and_test(name, out, data)
        scores[title] = result["model"]
        scores["separation"] = result["separation"]
    print()
    print_scores(scores, "test split")
    picture = draw(out, data)
    print(f"predicted (above the diagonal) and true contacts of one test chain: {picture}")


if __name__ == "__main__":
    main()
