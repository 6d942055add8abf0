"""A small run, trained by ``protcontact fit`` with the package's own base.yaml."""

import os
from pathlib import Path
from unittest import mock

import pytest
import yaml

from protcontact.cli import main
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from tests.data.chains import random_chain

ROOT = Path(__file__).parents[2]
SETTINGS = {
    "model": {
        "encoder": {
            "class_path": "protcontact.models.encoders.recurrent.BiLSTM",
            "init_args": {"channels": 4, "layers": 1},
        },
        "head": {"class_path": "protcontact.models.heads.bilinear.Bilinear"},
        "warmup_steps": 2,
    },
    "data": {"pair_budget": 8000, "crop_size": 40},
    "trainer": {
        "accelerator": "cpu",
        "precision": "32-true",
        "max_steps": 4,
        "val_check_interval": 2,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
}


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """Folder of the run, and its data: 8 chains to train on, 5 to validate, 3 to test."""
    folder = tmp_path_factory.mktemp("trained")
    chains = [random_chain(f"c{n:02d}", 98 + n, seed=n, unresolved=n % 3) for n in range(16)]
    (folder / "data").mkdir()
    write_store(folder / "data", chains)
    splits = ["train"] * 8 + ["val"] * 5 + ["test"] * 3
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "data" / "splits.tsv", rows)
    base = yaml.safe_load((ROOT / "configs" / "base.yaml").read_text())
    base["trainer"]["callbacks"] = [
        one for one in base["trainer"]["callbacks"] if "ProgressBar" not in one["class_path"]
    ] + [
        {
            "class_path": "protcontact.training.callbacks.gradient_flow.GradientFlow",
            "init_args": {"every_n_steps": 1},
        }
    ]
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "small.yaml").write_text(yaml.safe_dump(SETTINGS))
    words = ["fit", "--config", folder / "small.yaml", "--data.path", folder / "data"]
    words += ["--trainer.default_root_dir", folder / "run"]
    with mock.patch.dict(os.environ, {"WANDB_MODE": "disabled"}):
        assert main([str(word) for word in words]) == 0
    return folder / "run" / "version_0", folder / "data"
