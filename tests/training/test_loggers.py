"""CSV always; wandb offline unless the user is logged in."""

import importlib.util

import pytest
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from protcontact.training.loggers import logged_in, run_loggers


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
    (tmp_path / "version_9").mkdir()
    for version in (10, 11):
        csv, wandb = run_loggers(tmp_path)
        assert csv.log_dir == wandb.save_dir == str(tmp_path / f"version_{version}")
        assert (tmp_path / f"version_{version}").is_dir()


def test_starts_of_the_same_moment_get_a_folder_each(tmp_path, monkeypatch):
    """All of them look before the first one has made its folder."""
    monkeypatch.setattr("protcontact.training.loggers.starts_of", lambda folder: [])
    folders = [run_loggers(tmp_path)[0].log_dir for _ in range(3)]
    assert folders == [str(tmp_path / f"version_{version}") for version in range(3)]


def test_other_ranks_make_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("protcontact.training.loggers.rank_zero_only.rank", 1)
    run_loggers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_wandb_can_be_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert [type(logger) for logger in run_loggers(tmp_path)] == [CSVLogger]
