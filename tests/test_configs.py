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


def test_there_are_configs():
    assert {"bilstm.yaml", "transformer.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_config_instantiates(path, tmp_path):
    cli = ContactCLI(
        ContactModule,
        ContactDataModule,
        run=False,
        save_config_callback=None,
        args=with_base(["--config", str(path), "--trainer.logger", "false"]),
    )
    assert isinstance(cli.model, ContactModule)
    assert cli.trainer.max_steps > 0


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
