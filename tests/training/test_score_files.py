"""Files of scores, in a folder and in wandb."""

import json
from types import SimpleNamespace

import pytest
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from protcontact.metrics.nulls import SeparationPrior
from protcontact.training.score_files import (
    leave_in_wandb,
    score_files,
    send_to_wandb,
    write_scores,
)


@pytest.fixture
def scored(make_module, make_data):
    module, data = make_module(), make_data()
    data.setup("fit")
    module.prior = SeparationPrior.fit(data.whole_chains("train"))
    nulls = {"separation": lambda batch: module.prior.scores(batch.index)}
    module.scored.start("val", nulls)
    for batch in data.whole_chains("val"):
        module.scored.update(module(batch), batch, nulls, {})
    module.scored.finish("val")
    return module


def test_files(scored, tmp_path):
    about = {"fingerprint": "f", "step": 3}
    texts = write_scores(scored, "val", tmp_path / "new", about)
    table, means = score_files("val")
    assert {name: (tmp_path / "new" / name).read_text() for name in texts} == texts
    assert set(texts) == {table, means} == {"val_chains.tsv", "val_scores.json"}
    told = json.loads(texts[means])
    assert told["about"] == about and told["model"] == scored.scores.summary()
    assert told["separation"] == scored.nulls["separation"].summary()
    assert len(texts[table].splitlines()) == 1 + 5 and "separation:long/P@L" in texts[table]


def test_wandb_gets_them_among_its_files(scored, tmp_path):
    saved = []
    logger = WandbLogger(offline=True, save_dir=tmp_path)
    logger._experiment = SimpleNamespace(
        dir=str(tmp_path), save=lambda path, base_path, policy: saved.append((path, base_path))
    )
    trainer = SimpleNamespace(loggers=[CSVLogger(tmp_path), logger])
    send_to_wandb(trainer, {"val_chains.tsv": "text"})
    assert (tmp_path / "val_chains.tsv").read_text() == "text"
    assert saved == [(str(tmp_path / "val_chains.tsv"), str(tmp_path))]


def test_what_is_scored_later_goes_to_the_offline_run_of_the_training(tmp_path):
    files = tmp_path / "wandb" / "offline-run-20260101_000000-abc" / "files"
    files.mkdir(parents=True)
    (tmp_path / "wandb" / "run-20260101_000000-def" / "files").mkdir(parents=True)
    leave_in_wandb(tmp_path, {"test_chains.tsv": "text"})
    assert [path for path in tmp_path.rglob("*.tsv")] == [files / "test_chains.tsv"]
    assert (files / "test_chains.tsv").read_text() == "text"
    leave_in_wandb(tmp_path / "absent", {"test_chains.tsv": "text"})
