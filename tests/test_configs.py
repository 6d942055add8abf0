"""Every config of the project makes its model, data and trainer, and names the reason."""

from pathlib import Path

import jsonargparse
import pytest
import yaml

from protcontact.commands.lightning import ContactCLI, with_base
from protcontact.data.datamodule import ContactDataModule
from protcontact.training.callbacks import GradientFlow
from protcontact.training.module import ContactModule

ROOT = Path(__file__).parents[1] / "configs"
CONFIGS = [path for path in sorted(ROOT.rglob("*.yaml")) if path.name != "base.yaml"]
UPON = {  # what a config is put on top of
    "short.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow.yaml": ["bilstm.yaml", "transformer.yaml"],
    "gradflow_light.yaml": ["bilstm.yaml", "transformer.yaml"],
}
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
    texts = [yaml.safe_load(path.read_text()) for path in paths]
    wanted = [text["model"]["head"] for text in texts if "model" in text][-1]
    assert type(cli.model.model.head).__name__ == wanted["class_path"].split(".")[-1]
    for name, value in wanted.get("init_args", {}).items():
        assert cli.model.model.head.init_args[name] == value
    for added in [
        text["trainer"]["callbacks+"] for text in texts if "callbacks+" in text["trainer"]
    ]:
        [found] = [c for c in cli.trainer.callbacks if isinstance(c, GradientFlow)]
        probes = added[0]["init_args"].get("probes", [])
        names = [probe["class_path"].split(".")[-1] for probe in probes] or ["GradientNorms"]
        assert [type(probe).__name__ for probe in found.probes] == names
        # those of the base are still there
        assert any(type(c).__name__ == "RunCheckpoint" for c in cli.trainer.callbacks)


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
