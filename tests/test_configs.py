"""Every config of the project trains, tests, predicts and resumes, on six tiny chains."""

import csv
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import torch
import yaml

from protcontact.cli import main
from protcontact.commands.base_config import with_base
from protcontact.commands.lightning import ContactCLI
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.training.callbacks import GradientFlow
from protcontact.training.checkpoint import KEY
from protcontact.training.module import ContactModule, count_parameters
from tests.data.chains import random_chain
from tests.data.copying import write_first_chain
from tests.models.pretrained.small import small_file

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = [path for path in sorted(ROOT.rglob("*.yaml")) if path.name != "base.yaml"]
UPON = {  # what a config is put on top of
    "short.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow_light.yaml": ["bilstm.yaml"],
}
PARTS = ("encoder", "head")  # folders of configs that say this and nothing else
ENCODERS, HEADS = (sorted((ROOT / part).glob("*.yaml")) for part in PARTS)
EXPERIMENTS = [
    path for path in sorted((ROOT / "experiment").glob("*.yaml")) if path.name != "suite.yaml"
]
OTHERS = {  # by name or folder: what is no config of `fit` for one process
    "suite.yaml",  # of protcontact experiment: tests/commands/test_experiment.py
    "strategy",  # for several processes, which its own tests start
}


def pairs():
    """Each encoder and each head at least once; what reads attention maps gets them."""
    transformer = ROOT / "encoder" / "transformer.yaml"
    maps = ROOT / "head" / "attention_maps.yaml"
    heads = [head for head in HEADS if head != maps]
    count = max(len(ENCODERS), len(heads))
    for place in range(count):
        yield [ENCODERS[place % len(ENCODERS)], heads[place % len(heads)]]
    yield [transformer, maps]


PAIRS = list(pairs())
ALONE = [
    [path]
    for path in CONFIGS
    if path.name not in {*UPON, *OTHERS} and path.parent.name not in {*PARTS, *OTHERS}
]
TOGETHER = [[ROOT / below, ROOT / name] for name, all_below in UPON.items() for below in all_below]
TOGETHER += [
    [ROOT / "bilstm.yaml", ROOT / "encoder" / "convolution.yaml"],  # what is put on top wins
    [ROOT / "bilstm.yaml", ROOT / "head" / "attention_regression.yaml"],
    [ROOT / "encoder" / "bigru.yaml", ROOT / "head" / "unet.yaml", ROOT / "gradflow.yaml"],
]
WALKED = ALONE + TOGETHER + PAIRS


def test_all_are_there():
    names = {path.stem for path in EXPERIMENTS}
    encoders = {"rnn", "gru", "bilstm", "transformer", "convolution", "hybrid"}
    heads = {"bilinear", "attention_regression", "resnet", "unet", "axial"}
    assert names >= encoders | heads | {"resnet_plain", "unet_plain"}
    assert names >= {"distogram", "masked_residues"}
    assert {"bilstm.yaml", "transformer.yaml"} <= {path.name for path in CONFIGS}


def test_every_config_is_walked_or_named_above():
    walked = {path for paths in WALKED for path in paths}
    assert all({path.name, path.parent.name} & OTHERS for path in set(CONFIGS) - walked)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six chains, one of them to validate with, as each validation draws its chains."""
    folder = tmp_path_factory.mktemp("data")
    chains = [random_chain(f"c{n}", 30 + n, seed=n) for n in range(6)]
    write_store(folder, chains)
    splits = ["train", "train", "train", "val", "test", "test"]
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "splits.tsv", rows)
    write_first_chain(folder)  # for those that show templates
    (folder / "one.fasta").write_text(f">one\n{chains[0].sequence}\n")
    return folder


@pytest.fixture
def made(monkeypatch):
    """Whatever `main` makes to fit."""
    found = []
    fit = ContactCLI.fit
    monkeypatch.setattr(ContactCLI, "fit", lambda cli, **all: (found.append(cli), fit(cli, **all)))
    return found


def run(verb, *arguments, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert main([str(word) for word in (verb, *arguments, *words)]) == 0


def losses(version):
    with (version / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss"]]
    return {int(row["step"]): float(row["train/loss"]) for row in rows}


@pytest.mark.parametrize("paths", WALKED, ids=lambda paths: "+".join(p.stem for p in paths))
def test_a_config_trains_tests_predicts_and_resumes(paths, data, made, tmp_path, monkeypatch):
    """As a user types it, two steps long."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(tmp_path)  # where esm2.safetensors is, that some of them name
    small_file(tmp_path / "esm2.safetensors")
    texts = [yaml.safe_load(path.read_text()) for path in paths]
    configs = [word for path in paths for word in ("--config", path)]
    options = {
        "data.path": data,
        "data.workers": 0,
        "trainer.accelerator": "cpu",
        "trainer.devices": 1,
        "trainer.val_check_interval": 2,
        "trainer.log_every_n_steps": 1,
        "trainer.default_root_dir": tmp_path,
        "trainer.enable_model_summary": "false",
    }
    run("fit", *configs, **options, **{"trainer.max_steps": 2})
    first = losses(tmp_path / "version_0")
    assert list(first) == [0, 1]
    assert all(0 < loss < 10 for loss in first.values())
    best = tmp_path / "version_0" / "checkpoints" / "best.ckpt"
    is_what_it_says(texts, torch.load(best, weights_only=True)[KEY], made[0].trainer)

    run("test", ckpt_path=best, **{"trainer.logger": "false"})
    assert (tmp_path / "test_scores.json").is_file()

    run("predict", checkpoint=best, input=data / "one.fasta", out=tmp_path / "predicted")
    with np.load(tmp_path / "predicted" / "one.npz") as file:
        assert file["scores"].shape == (30, 30)
        assert ((file["scores"] > 0) & (file["scores"] < 1)).all()

    last = best.with_name("last.ckpt")
    start = "last" if last.is_file() else best  # a demo is too short to go on with
    run("fit", *configs, **options, **{"trainer.max_steps": 4, "ckpt_path": start})
    assert list(losses(tmp_path / "version_1")) == [2, 3]


def is_what_it_says(texts, description, trainer):
    """The model has the parts and numbers of the last text that names them."""
    for part in PARTS:
        wanted = [text["model"][part] for text in texts if part in text.get("model", {})][-1]
        assert description[part]["class_path"] == wanted["class_path"]
        for name, value in wanted.get("init_args", {}).items():
            if name != "checkpoint":  # which is not needed again
                assert description[part]["init_args"][name] == value
    trainers = [text.get("trainer", {}) for text in texts]
    for added in [trainer["callbacks+"] for trainer in trainers if "callbacks+" in trainer]:
        [found] = [c for c in trainer.callbacks if isinstance(c, GradientFlow)]
        probes = added[0]["init_args"].get("probes", [])
        names = [probe["class_path"].split(".")[-1] for probe in probes] or ["GradientNorms"]
        assert [type(probe).__name__ for probe in found.probes] == names
        # those of the base are still there
        assert any(type(c).__name__ == "RunCheckpoint" for c in trainer.callbacks)


@pytest.mark.parametrize("path", [*ENCODERS, *HEADS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_part_says_nothing_else(path):
    text = yaml.safe_load(path.read_text())
    assert list(text) == ["model"]
    assert list(text["model"]) == [path.parent.name]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_says_what_its_model_is_and_nothing_else(path):
    """Data, batches and optimizer are those of base.yaml: only models are compared."""
    text = yaml.safe_load(path.read_text())
    assert set(text) == {"model", "trainer"}
    assert text["trainer"] == {"default_root_dir": f"runs/experiment/{path.stem}"}
    base = yaml.safe_load((ROOT / "base.yaml").read_text())
    assert not set(text["model"]) & set(base["model"])


def test_experiments_are_of_one_size():
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(ContactModule, "model")
    counts = {}
    for path in EXPERIMENTS:
        model = yaml.safe_load(path.read_text())["model"]
        settings = parser.parse_object({"model": model})
        counts[path.stem] = count_parameters(parser.instantiate_classes(settings).model)
    middle = (min(counts.values()) + max(counts.values())) / 2
    assert all(abs(count - middle) <= 0.05 * middle for count in counts.values()), counts


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.yaml")), ids=lambda path: path.name)
def test_config_says_what_it_is_for(path):
    assert path.read_text().startswith("# ")
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_a_misspelt_key_is_refused():
    with pytest.raises((SystemExit, jsonargparse.ArgumentError)):
        ContactCLI(
            ContactModule,
            ContactDataModule,
            run=False,
            save_config_callback=None,
            args=[*with_base(["--config", str(CONFIGS[0])]), "--model.hed", "x"],
        )
