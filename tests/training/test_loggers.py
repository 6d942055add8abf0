"""CSV always; wandb offline unless the user is logged in."""

import importlib.util

import pytest
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from protcontact.training.loggers import logged_in, make_folders, run_loggers


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No key, no netrc."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def test_offline_without_an_account(tmp_path):
    csv, wandb = run_loggers(tmp_path / "bilstm")
    assert isinstance(csv, CSVLogger)
    assert isinstance(wandb, WandbLogger)
    assert wandb._offline
    assert wandb._wandb_init["name"] == "bilstm"


def test_online_with_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert not run_loggers(tmp_path / "run")[1]._offline


def test_offline_if_the_user_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert run_loggers(tmp_path / "run")[1]._offline


def test_netrc_counts_for_its_own_host(nobody, monkeypatch):
    (nobody / "netrc").write_text("machine api.wandb.ai login user password key\n")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org/")
    assert not logged_in()


def test_damaged_netrc_is_no_account(nobody):
    (nobody / "netrc").write_text("machine machine machine\n")
    assert not logged_in()


def test_csv_alone_where_wandb_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert [type(logger) for logger in run_loggers(tmp_path)] == [CSVLogger]


def test_each_start_gets_its_own_folder(tmp_path):
    """Not before it really starts."""
    refused, first = run_loggers(tmp_path), run_loggers(tmp_path)
    assert refused[0].log_dir.endswith("version_0")
    assert not list(tmp_path.glob("version_*"))
    make_folders(first)
    assert first[1].save_dir == first[0].log_dir
    assert [path.name for path in tmp_path.glob("version_*")] == ["version_0"]
    assert run_loggers(tmp_path)[0].log_dir.endswith("version_1")


def test_wandb_can_be_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert [type(logger) for logger in run_loggers(tmp_path)] == [CSVLogger]
