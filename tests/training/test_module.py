"""Training, scores on one and two processes, schedule, and what a checkpoint keeps."""

import json
import math
import subprocess
import sys

import pytest
import torch
from pytorch_lightning import Trainer

from protcontact.errors import InputError
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.running import ContactScores
from protcontact.training.callbacks.separation_null import SeparationNull
from protcontact.training.checkpoint import load_model
from protcontact.training.module import count_parameters, warmup_cosine


def trainer(tmp_path, **changes):
    settings = {
        "default_root_dir": tmp_path,
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "max_steps": 4,
    }
    return Trainer(**(settings | changes))


def test_loss_falls(make_module, make_data, tmp_path):
    module = make_module(warmup_steps=0)
    module.optimizer = lambda params: torch.optim.AdamW(params, lr=0.02)
    data = make_data()
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    before = float(module.eval().loss(module(batch), batch))
    trainer(tmp_path, max_steps=30, limit_val_batches=0).fit(module.train(), data)
    assert float(module.eval().loss(module(batch), batch)) < 0.8 * before


def test_scores_are_means_over_chains_of_the_split(make_module, make_data, tmp_path):
    module, data = make_module().eval(), make_data()
    logged = trainer(tmp_path).validate(module, data, verbose=False)[0]
    expected = ContactScores()
    with torch.no_grad():
        for row in data.rows("val"):
            batch = data.whole_chain(row)
            expected.update(module(batch), batch)
    assert logged["val/chains"] == 5
    for name, value in expected.summary().items():
        assert logged[f"val/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True)


def test_null_stands_beside_the_score_and_travels_with_the_checkpoint(
    make_module, make_data, tmp_path
):
    module, data = make_module(), make_data()
    run = trainer(tmp_path, callbacks=[SeparationNull()])
    run.fit(module, data)
    truth = SeparationPrior.fit(data.whole_chains("train"))
    assert torch.equal(module.prior.pairs, truth.pairs)
    assert "val/null/long/P@L" in run.callback_metrics
    path = tmp_path / "model.ckpt"
    run.save_checkpoint(path)

    other = make_module()
    logged = trainer(tmp_path).test(other, make_data(), ckpt_path=str(path), weights_only=True)[0]
    assert torch.equal(other.prior.contacts, truth.contacts)
    assert not math.isnan(logged["test/null/long/P@L"])


def test_checkpoint_loads_without_the_config(make_module, make_data, tmp_path):
    module, data = make_module(), make_data()
    run = trainer(tmp_path)
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    loaded = load_model(tmp_path / "model.ckpt")
    batch = data.whole_chain(0)
    assert torch.equal(loaded(batch), module.eval()(batch))


def test_no_null_without_a_prior(make_module, make_data, tmp_path):
    logged = trainer(tmp_path).validate(make_module(), make_data(), verbose=False)[0]
    assert not any("null" in name for name in logged)


def test_weight_decay_on_matrices_only(make_module, make_data, tmp_path):
    module = make_module()
    run = trainer(tmp_path)
    run.fit(module, make_data())
    decayed, free = run.optimizers[0].param_groups
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert decayed["weight_decay"] > 0
    assert all(p.ndim < 2 for p in free["params"])
    assert free["weight_decay"] == 0.0
    assert len(decayed["params"]) + len(free["params"]) == len(list(module.parameters()))


def test_schedule():
    factor = warmup_cosine(warmup=4, total=14, final=0.1)
    assert [factor(step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert factor(4) == 1.0
    assert factor(9) == pytest.approx(0.55)  # half way: the mean of 1 and 0.1
    assert factor(14) == factor(100) == pytest.approx(0.1)
    assert warmup_cosine(2, math.inf, 0.0)(10**9) == 1.0


def test_more_steps_after_a_resume_get_a_learning_rate(make_module, make_data, tmp_path):
    """The schedule of the first run ended at 0; torch once brought it back from the checkpoint."""
    run = trainer(tmp_path, max_steps=4)
    run.fit(make_module(warmup_steps=1), make_data())
    run.save_checkpoint(tmp_path / "model.ckpt")
    longer = trainer(tmp_path, max_steps=8)
    path = str(tmp_path / "model.ckpt")
    longer.fit(make_module(warmup_steps=1), make_data(), ckpt_path=path, weights_only=True)
    factor = longer.lr_scheduler_configs[0].scheduler.lr_lambdas[0]
    assert factor(5) > 0.2


def test_a_resumed_run_keeps_its_loss(make_module, make_data, tmp_path):
    run = trainer(tmp_path)
    run.fit(make_module(), make_data())
    path = str(tmp_path / "model.ckpt")
    run.save_checkpoint(path)
    for change in ({"min_separation": 3}, {"positive_weight": 2.0}):
        longer = trainer(tmp_path, max_steps=8)
        with pytest.raises(InputError, match="restore these options"):
            longer.fit(make_module(**change), make_data(), ckpt_path=path, weights_only=True)


@pytest.mark.parametrize("verb", ["validate", "test"])
def test_what_was_trained_on_is_not_scored(make_module, make_data, tmp_path, verb):
    module, data = make_module(), make_data()
    data.setup(verb)
    module.trained_on = data.sequence_hashes({"validate": "val"}.get(verb, verb))[:3]
    with pytest.raises(InputError, match="3 sequences of the"):
        getattr(trainer(tmp_path), verb)(module, data, verbose=False)


@pytest.mark.parametrize("change", [{"warmup_steps": -1}, {"final_lr": 1.5}])
def test_refuses(make_module, change):
    with pytest.raises(ValueError, match="warmup_steps must be"):
        make_module(**change)


def test_count_parameters():
    layer = torch.nn.Linear(3, 2)
    assert count_parameters(layer) == 8
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


SCORE = """
import json, sys, torch
from pytorch_lightning import Trainer
from protcontact.data.datamodule import ContactDataModule
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.module import ContactModule

folder, devices, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
torch.manual_seed(0)
module = ContactModule(BiLSTM(channels=4, layers=1), Bilinear)
# one chain a batch: the logits of a chain may not depend on which rank got which neighbours
data = ContactDataModule(folder, eval_pair_budget=1)
trainer = Trainer(
    accelerator="cpu", devices=devices, strategy="ddp" if devices > 1 else "auto",
    logger=False, enable_progress_bar=False, enable_checkpointing=False, default_root_dir=out,
)
trainer.validate(module, data, verbose=False)
if trainer.is_global_zero:
    with open(out + f"/{devices}.json", "w") as file:
        json.dump(module.scores.summary(), file)
"""


@pytest.mark.slow
def test_two_processes_give_the_same_digits_as_one(small_data, tmp_path):
    """Five chains on two ranks: one chain is scored twice and must count once."""
    script = tmp_path / "score.py"
    script.write_text(SCORE)
    for devices in (1, 2):
        command = [sys.executable, str(script), str(small_data), str(devices), str(tmp_path)]
        subprocess.run(command, check=True, capture_output=True, timeout=240)
    one, two = (json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2))
    assert one["chains"] == 5
    assert one == two
