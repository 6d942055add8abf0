"""Train a BiLSTM on synthetic folds, score it, predict with it.

    python examples/train.py [FOLDER [STEPS]]

It takes about three minutes of one core. The cells (`# %%`) open as a notebook in VS Code,
PyCharm or Jupyter (with jupytext).
"""

# %% Where to, and how long
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else "example_train")
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 400


def protcontact(*words: object) -> None:
    """Run a command, as one would in a terminal."""
    subprocess.run([sys.executable, "-m", "protcontact", *map(str, words)], check=True)


# %% Structures to labelled chains, divided without homology leakage. Your own: a folder, a glob, a
# tar archive in place of OUT / "folds" / "structures".
protcontact("synth", "--out", OUT / "folds", "--chains", 120, "--overwrite")
protcontact("prepare", OUT / "folds" / "structures", "--out", OUT / "data")
protcontact("split", OUT / "data")

# %% Train. The config names classes; any of its settings can be given behind it.
protcontact(
    "fit",
    "--config", ROOT / "configs" / "demo" / "bilstm.yaml",
    "--data.path", OUT / "data",
    "--trainer.max_steps", STEPS,
    "--trainer.val_check_interval", STEPS,
    "--trainer.default_root_dir", OUT / "runs",
)  # fmt: skip

# %% Score the best checkpoint on the test split, beside models that have learnt nothing.
best = OUT / "runs" / "version_0" / "checkpoints" / "best.ckpt"
protcontact("test", "--ckpt_path", best)

# %% Predict one of the structures, and read the map. It may be a training chain: this shows the
# files, not how accurate the model is.
structure = sorted((OUT / "folds" / "structures").iterdir())[0]
protcontact("predict", "--checkpoint", best, "--input", structure, "--out", OUT / "predicted")
(file,) = (OUT / "predicted").glob("*.npz")
with np.load(file) as held:
    scores = held["scores"]
    i, j = np.unravel_index(np.argmax(np.triu(scores, k=24)), scores.shape)
    print(f"the likeliest long-range contact: places {i + 1} and {j + 1}, p = {scores[i, j]:.2f}")
