"""The best checkpoint of a run survives a restart into another folder."""

import shutil
import time

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from protcontact.errors import InputError
from protcontact.training.callbacks.checkpoints import RunCheckpoint, _copy
from protcontact.training.checkpoint import WholeFiles

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}


class Scripted(LightningModule):
    """Logs the scores that it is told to."""

    def __init__(self, scores):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.scores = scores

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def validation_step(self, batch, batch_idx):
        self.log("score", self.scores[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, scores, epochs, ckpt_path=None):
    best = RunCheckpoint(
        dirpath=folder, filename="best", monitor="score", mode="max", enable_version_counter=False
    )
    trainer = Trainer(
        **QUIET,
        num_sanity_val_steps=0,
        max_epochs=epochs,
        callbacks=[best],
    )
    loader = DataLoader(torch.zeros(2, 1))
    trainer.fit(Scripted(scores), loader, loader, ckpt_path=ckpt_path, weights_only=True)
    trainer.save_checkpoint(folder / "last.ckpt")
    return best


def test_a_worse_score_after_the_restart_does_not_become_the_best(tmp_path):
    scores = [0.9, 0.2, 0.5, 0.4]
    first = fit(tmp_path / "a", scores, 2)
    resumed = fit(tmp_path / "b", scores, 4, ckpt_path=str(tmp_path / "a" / "last.ckpt"))
    assert float(resumed.best_model_score) == float(first.best_model_score)
    taken = torch.load(tmp_path / "b" / "best.ckpt", weights_only=True)
    assert taken["epoch"] == 0
    assert (tmp_path / "a" / "best.ckpt").is_file()


def test_a_better_score_after_the_restart_does(tmp_path):
    scores = [0.5, 0.2, 0.9, 0.4]
    fit(tmp_path / "a", scores, 2)
    resumed = fit(tmp_path / "b", scores, 4, ckpt_path=str(tmp_path / "a" / "last.ckpt"))
    assert torch.load(resumed.best_model_path, weights_only=True)["epoch"] == 2
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"best.ckpt", "last.ckpt"}


class At(Callback):
    """Does something when the training, or its second epoch, starts."""

    def __init__(self, at_start=lambda: None, at_second_epoch=lambda: None):
        self.at_start = at_start
        self.at_second_epoch = at_second_epoch

    def on_train_start(self, trainer, module):
        self.at_start()

    def on_train_epoch_start(self, trainer, module):
        if trainer.current_epoch == 1:
            self.at_second_epoch()


def trainer_of_last(folder, *callbacks):
    """Keeps the last checkpoint, of every epoch."""
    last = RunCheckpoint(
        dirpath=folder, filename="last", every_n_epochs=1, enable_version_counter=False
    )
    return Trainer(
        **QUIET,
        max_epochs=2,
        callbacks=[last, *callbacks],
    )


@pytest.fixture
def older(tmp_path):
    """A start with a copy of the checkpoint of its first epoch, and a newer one as its last."""
    folder = tmp_path / "a"
    keep = At(at_second_epoch=lambda: shutil.copyfile(folder / "last.ckpt", folder / "first.ckpt"))
    loader = DataLoader(torch.zeros(2, 1))
    trainer_of_last(folder, keep).fit(Scripted([0.0] * 9), loader)
    return folder


def test_scoring_leaves_no_copies(older, tmp_path):
    """`--ckpt_path last` took such a copy, which does not grow with the run, for a newer start."""
    trainer_of_last(tmp_path / "b").validate(
        Scripted([0.0] * 9),
        DataLoader(torch.zeros(2, 1)),
        ckpt_path=str(older / "first.ckpt"),
        weights_only=True,
    )
    assert not (tmp_path / "b").exists()


def test_a_start_that_saves_nothing_leaves_what_it_went_on_from(older, tmp_path):
    """And not the last checkpoint of the older start, which may be ahead of it."""

    def kill():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        trainer_of_last(tmp_path / "b", At(at_start=kill)).fit(
            Scripted([0.0] * 9),
            DataLoader(torch.zeros(2, 1)),
            ckpt_path=str(older / "first.ckpt"),
            weights_only=True,
        )
    taken = (tmp_path / "b" / "last.ckpt").read_bytes()
    assert taken == (older / "first.ckpt").read_bytes()
    assert taken != (older / "last.ckpt").read_bytes()


def test_a_copy_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def full(old, new):
        new.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "old.ckpt").write_bytes(b"whole")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="new.ckpt"):
        _copy(tmp_path / "old.ckpt", tmp_path / "b" / "new.ckpt")
    assert list((tmp_path / "b").iterdir()) == []


class Killed(BaseException):
    """What a SIGKILL is to this test: nothing may be saved any more."""


class Validated(Scripted):
    """Remembers when it was validated, and can be killed in the middle of it."""

    def __init__(self, kill_at=None):
        super().__init__([])
        self.kill_at, self.validated = kill_at, []

    def validation_step(self, batch, batch_idx):
        if self.trainer.global_step == self.kill_at:
            raise Killed
        self.validated.append(self.trainer.global_step)


@pytest.mark.parametrize("kill_at", [4, 8])
def test_a_validation_that_was_killed_is_repeated(tmp_path, kill_at):
    """At step 8 the training would otherwise count as done, without its last validation."""

    def run(module, folder, **more):
        last = RunCheckpoint(dirpath=folder, filename="last", every_n_train_steps=2)
        trainer = Trainer(
            **QUIET,
            num_sanity_val_steps=0,
            max_steps=8,
            val_check_interval=4,
            check_val_every_n_epoch=None,
            callbacks=[last],
            plugins=[WholeFiles()],
        )
        trainer.fit(module, DataLoader(torch.zeros(3, 1)), DataLoader(torch.zeros(1, 1)), **more)

    with pytest.raises(Killed):
        run(Validated(kill_at), tmp_path / "a")
    path = tmp_path / "a" / "last.ckpt"
    assert torch.load(path, weights_only=True)["global_step"] == kill_at - 2
    resumed = Validated()
    run(resumed, tmp_path / "b", ckpt_path=str(path), weights_only=True)
    assert resumed.validated == [step for step in (4, 8) if step >= kill_at]
    assert torch.load(tmp_path / "b" / "last.ckpt", weights_only=True)["global_step"] == 8


def trained(folder, module=None, **settings):
    """With a `last` of every 100th step, over epochs of 3 steps; its step, None without a file."""
    last = RunCheckpoint(dirpath=folder, filename="last", every_n_train_steps=100)
    best = RunCheckpoint(dirpath=folder, filename="best", monitor="score", mode="max")
    trainer = Trainer(
        **QUIET,
        num_sanity_val_steps=0,
        callbacks=[last, best],
        **settings,
    )
    loader = DataLoader(torch.zeros(3, 1))
    trainer.fit(module or Scripted([0.5] * 9), loader, loader)
    path = folder / "last.ckpt"
    return torch.load(path, weights_only=True)["global_step"] if path.is_file() else None


BY_STEPS = {"check_val_every_n_epoch": None}


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"max_steps": 7, "val_check_interval": 4, **BY_STEPS}, 7),
        ({"max_steps": 8, "val_check_interval": 4, **BY_STEPS}, 8),
        ({"max_epochs": 2, "val_check_interval": 4, **BY_STEPS}, 6),
        ({"max_epochs": 2}, 6),
        ({"max_epochs": 2, "val_check_interval": 0.5}, 6),
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, 9),
        ({"max_steps": 5}, 5),
        ({"max_steps": 5, "limit_val_batches": 0}, 5),
        ({"max_epochs": 2, "limit_train_batches": 2, "check_val_every_n_epoch": 2}, 4),
    ],
)
def test_the_last_step_is_kept(tmp_path, settings, steps):
    """Whether a validation follows it or not."""
    assert trained(tmp_path, **settings) == steps


def test_the_last_step_in_time_is_kept(tmp_path):
    class Slow(Scripted):
        def training_step(self, batch, batch_idx):
            if self.trainer.global_step == 4:
                time.sleep(1.1)
            return super().training_step(batch, batch_idx)

    settings = {"max_time": {"seconds": 1}, "max_epochs": -1, "val_check_interval": 100, **BY_STEPS}
    assert trained(tmp_path, Slow([0.5] * 9), **settings) == 5


def test_a_rehearsal_keeps_nothing(tmp_path, recwarn):
    assert trained(tmp_path, fast_dev_run=2) is None
    assert not [each for each in recwarn if "there is no best.ckpt" in str(each.message)]


def test_a_training_without_a_best_checkpoint_says_so(tmp_path, recwarn):
    trained(tmp_path / "a", max_epochs=1)
    trained(tmp_path / "b", max_epochs=1, limit_val_batches=0)
    told = [str(each.message) for each in recwarn]
    assert not [text for text in told if "there is no best.ckpt" in text]
    with pytest.warns(UserWarning, match=r"no best.ckpt; .* and go on from .*c/last\.ckpt"):
        trained(tmp_path / "c", max_epochs=1, val_check_interval=100, **BY_STEPS)


def test_nor_is_a_last_checkpoint_promised_where_there_is_none(tmp_path):
    best = RunCheckpoint(dirpath=tmp_path, filename="best", monitor="score", mode="max")
    trainer = Trainer(
        **QUIET,
        max_epochs=1,
        val_check_interval=100,
        num_sanity_val_steps=0,
        callbacks=[best],
        **BY_STEPS,
    )
    loader = DataLoader(torch.zeros(3, 1))
    with pytest.warns(UserWarning, match="no best.ckpt; .* and train again"):
        trainer.fit(Scripted([0.5]), loader, loader)


def test_nothing_is_saved_behind_an_epoch_that_was_validated(tmp_path):
    """Lightning would go on from there with the batches of the epoch after next."""
    trained(tmp_path, max_epochs=1)
    for name in ("best", "last"):
        loops = torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["loops"]["fit_loop"]
        assert loops["epoch_progress"]["total"]["processed"] == 0


def move(run, folder):
    """As `mv` does; what Lightning wrote down of the old place is wrong then."""
    shutil.move(run, folder)
    return str(folder / "last.ckpt")


def test_a_run_that_was_moved_keeps_its_best(tmp_path):
    scores = [0.9, 0.2, 0.5, 0.4]
    first = fit(tmp_path / "a", scores, 2)
    path = move(tmp_path / "a", tmp_path / "elsewhere")
    fit(tmp_path / "a", [0.1, 0.8], 2)  # another run in the old place
    resumed = fit(tmp_path / "b", scores, 4, ckpt_path=path)
    assert float(resumed.best_model_score) == float(first.best_model_score)
    assert torch.load(tmp_path / "b" / "best.ckpt", weights_only=True)["epoch"] == 0


def test_a_best_that_is_nowhere_is_found_anew(tmp_path):
    """And it is said; a score without its file would be no use."""
    scores = [0.9, 0.2, 0.5, 0.4]
    fit(tmp_path / "a", scores, 2)
    (tmp_path / "a" / "best.ckpt").unlink()
    with pytest.warns(
        UserWarning, match=r"best\.ckpt of this run is not at .*a/best\.ckpt, so it is made anew"
    ):
        resumed = fit(tmp_path / "b", scores, 4, ckpt_path=str(tmp_path / "a" / "last.ckpt"))
    assert float(resumed.best_model_score) == 0.5
    assert torch.load(tmp_path / "b" / "best.ckpt", weights_only=True)["epoch"] == 2


class Seen(Scripted):
    """Remembers the batches that it was trained on."""

    def __init__(self):
        super().__init__([0.5] * 9)
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.trainer.current_epoch, batch_idx, batch.ids, batch.index.sum()))
        return self.layer(torch.ones(1, 1)).sum()


def batches(folder, data, steps, ckpt_path=None, **settings):
    """What a training saw; it leaves ``best.ckpt`` and ``last.ckpt``."""
    module = Seen()
    options = {"dirpath": folder, "enable_version_counter": False}
    Trainer(
        **QUIET,
        num_sanity_val_steps=0,
        max_steps=steps,
        callbacks=[
            RunCheckpoint(filename="last", every_n_train_steps=1, **options),
            RunCheckpoint(filename="best", monitor="score", mode="max", **options),
        ],
        **settings,
    ).fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return module.seen


@pytest.mark.parametrize("stop", [2, 3, 4, 6])
@pytest.mark.parametrize(
    "settings",
    [
        {"limit_train_batches": 3, "val_check_interval": 3, **BY_STEPS},
        {"limit_train_batches": 3, "val_check_interval": 2, **BY_STEPS},
        {"limit_train_batches": 3, "val_check_interval": 100, **BY_STEPS},
        {"limit_train_batches": 3},
        {"limit_train_batches": 3, "check_val_every_n_epoch": 2},
        {"limit_val_batches": 0},
    ],
)
def test_a_run_goes_on_with_the_batches_it_has_not_seen(make_data, tmp_path, settings, stop):
    """Wherever it was stopped: within an epoch, at its end, before or after a validation."""
    whole = batches(tmp_path / "whole", make_data(), 8, **settings)
    assert whole[-1][0] > 0  # more than an epoch
    before = batches(tmp_path / "a", make_data(), stop, **settings)
    for name in ("last", "best"):
        path = tmp_path / "a" / f"{name}.ckpt"
        if name == "best" and not path.is_file():
            continue
        done = torch.load(path, weights_only=True)["global_step"]
        after = batches(tmp_path / name, make_data(), 8, ckpt_path=str(path), **settings)
        assert before[:done] + after == whole, name


def test_nothing_is_saved_within_a_step(make_data, tmp_path):
    """A resumed run has not saved yet, and would do so at its first batch, in the middle of one."""
    settings = {"accumulate_grad_batches": 2, "val_check_interval": 100, **BY_STEPS}
    saved = []

    class Noted(RunCheckpoint):
        def _save_checkpoint(self, trainer, filepath):
            saved.append(trainer.fit_loop.epoch_loop.batch_progress.total.ready)
            super()._save_checkpoint(trainer, filepath)

    def run(folder, steps, ckpt_path=None):
        saved.clear()
        options = {"dirpath": folder, "every_n_train_steps": 2, "enable_version_counter": False}
        Trainer(
            **QUIET,
            num_sanity_val_steps=0,
            max_steps=steps,
            callbacks=[Noted(filename="last", **options)],
            **settings,
        ).fit(Seen(), datamodule=make_data(), ckpt_path=ckpt_path, weights_only=True)
        return list(saved)

    assert run(tmp_path / "a", 6) == [4, 8, 12]
    assert run(tmp_path / "b", 2) == [4]
    assert run(tmp_path / "c", 6, str(tmp_path / "b" / "last.ckpt")) == [8, 12]


def test_an_epoch_does_not_get_longer(make_data, tmp_path):
    """Lightning would want a batch more of it where it does not find its validation again."""
    limit = {"limit_train_batches": 3, **BY_STEPS}
    batches(tmp_path / "a", make_data(), 3, val_check_interval=3, **limit)
    path = str(tmp_path / "a" / "last.ckpt")
    with pytest.raises(InputError, match="restore --trainer.val_check_interval"):
        batches(tmp_path / "b", make_data(), 8, ckpt_path=path, val_check_interval=8, **limit)
