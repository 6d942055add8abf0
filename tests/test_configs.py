"""Every config of the project makes its model, data and trainer, and names the reason."""

import csv
from pathlib import Path

import jsonargparse
import pytest
import yaml

from protcontact.cli import main
from protcontact.commands.lightning import ContactCLI, with_base
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.training.callbacks import GradientFlow
from protcontact.training.module import ContactModule
from tests.data.chains import random_chain
from tests.models.pretrained.small import small_file

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = [path for path in sorted(ROOT.rglob("*.yaml")) if path.name != "base.yaml"]
UPON = {  # what a config is put on top of
    "short.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow_light.yaml": ["bilstm.yaml", "transformer.yaml"],
}
PARTS = ("encoder", "head")  # folders of configs that say this and nothing else
PAIRS = [
    [ROOT / "encoder" / f"{encoder}.yaml", ROOT / "head" / f"{head}.yaml"]
    for encoder, head in (
        ("bilstm", "bilinear"),
        ("birnn", "attention_regression"),
        ("bigru", "unet"),
        ("transformer", "resnet"),
        ("transformer", "attention_maps"),
        ("convolution", "bilinear"),
    )
]
ALONE = [[path] for path in CONFIGS if path.name not in UPON and path.parent.name not in PARTS]
TOGETHER = [[ROOT / below, ROOT / name] for name, all_below in UPON.items() for below in all_below]
TOGETHER += [
    [ROOT / "bilstm.yaml", ROOT / "encoder" / "convolution.yaml"],  # what is put on top wins
    [ROOT / "bilstm.yaml", ROOT / "head" / "attention_regression.yaml"],
    [*PAIRS[2], ROOT / "gradflow.yaml"],
]


def test_there_are_configs():
    assert {"bilstm.yaml", "transformer.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize(
    "paths", ALONE + TOGETHER + PAIRS, ids=lambda paths: "+".join(p.stem for p in paths)
)
def test_config_instantiates(paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where esm2.safetensors is, that some of them name
    small_file(tmp_path / "esm2.safetensors")
    cli = ContactCLI(
        ContactModule,
        ContactDataModule,
        run=False,
        save_config_callback=None,
        args=with_base(
            [
                *(word for path in paths for word in ("--config", str(path))),
                "--trainer.logger",
                "false",
            ]
        ),
    )
    assert isinstance(cli.model, ContactModule)
    assert cli.trainer.max_steps > 0
    texts = [yaml.safe_load(path.read_text()) for path in paths]
    for part in PARTS:
        wanted = [text["model"][part] for text in texts if part in text.get("model", {})][-1]
        made = getattr(cli.model.model, part)
        assert type(made).__name__ == wanted["class_path"].split(".")[-1]
        for name, value in wanted.get("init_args", {}).items():
            if name != "checkpoint":  # which is not needed again
                assert made.init_args[name] == value
    trainers = [text.get("trainer", {}) for text in texts]
    for added in [trainer["callbacks+"] for trainer in trainers if "callbacks+" in trainer]:
        [found] = [c for c in cli.trainer.callbacks if isinstance(c, GradientFlow)]
        probes = added[0]["init_args"].get("probes", [])
        names = [probe["class_path"].split(".")[-1] for probe in probes] or ["GradientNorms"]
        assert [type(probe).__name__ for probe in found.probes] == names
        # those of the base are still there
        assert any(type(c).__name__ == "RunCheckpoint" for c in cli.trainer.callbacks)


def test_every_encoder_and_head_is_in_a_pair():
    for part in PARTS:
        walked = {path for pair in PAIRS for path in pair if path.parent.name == part}
        assert walked == set((ROOT / part).glob("*.yaml"))


@pytest.mark.parametrize(
    "path", [p for part in PARTS for p in (ROOT / part).glob("*.yaml")], ids=str
)
def test_a_part_says_nothing_else(path):
    text = yaml.safe_load(path.read_text())
    assert list(text) == ["model"]
    assert list(text["model"]) == [path.parent.name]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six chains, two in each split."""
    folder = tmp_path_factory.mktemp("data")
    chains = [random_chain(f"c{n}", 30 + n, seed=n) for n in range(6)]
    write_store(folder, chains)
    splits = ["train", "val", "test"] * 2
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "splits.tsv", rows)
    return folder


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: "+".join(p.stem for p in pair))
def test_a_pair_trains(pair, data, tmp_path, monkeypatch):
    """As a user types it, two steps long."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    options = {
        "data.path": data,
        "trainer.accelerator": "cpu",
        "trainer.max_steps": 2,
        "trainer.val_check_interval": 2,
        "trainer.log_every_n_steps": 1,
        "trainer.default_root_dir": tmp_path,
    }
    words = [word for path in pair for word in ("--config", path)]
    words += [word for name, value in options.items() for word in (f"--{name}", value)]
    assert main(["fit", *map(str, words)]) == 0
    with (tmp_path / "version_0" / "metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert len(losses) == 2
    assert all(0 < loss < 10 for loss in losses)


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
