"""Every config of the project makes its model, data and trainer, and names the reason."""

from pathlib import Path

import jsonargparse
import pytest
import yaml

from protcontact.commands.lightning import ContactCLI, with_base
from protcontact.data.datamodule import ContactDataModule
from protcontact.training.module import ContactModule

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = [path for path in sorted(ROOT.rglob("*.yaml")) if path.name != "base.yaml"]
UPON = {"short.yaml": ["bilstm.yaml", "transformer.yaml"]}  # what a config is put on top of
ALONE = [[path] for path in CONFIGS if path.name not in UPON]
TOGETHER = [[ROOT / below, ROOT / name] for name, all_below in UPON.items() for below in all_below]


def test_there_are_configs():
    assert {"bilstm.yaml", "transformer.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize(
    "paths", ALONE + TOGETHER, ids=lambda paths: "+".join(p.stem for p in paths)
)
def test_config_instantiates(paths, tmp_path):
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
    wanted = yaml.safe_load(paths[-1].read_text())["model"]["head"]
    assert type(cli.model.model.head).__name__ == wanted["class_path"].split(".")[-1]
    for name, value in wanted.get("init_args", {}).items():
        assert cli.model.model.head.init_args[name] == value


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
