"""Training, scores on one and two processes, schedule, and what a checkpoint keeps."""

import json
import math
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import torch
from pytorch_lightning import Trainer

from protcontact.data.splits import TEMPLATES
from protcontact.errors import InputError
from protcontact.metrics.calibration import Reliability, fit_temperature
from protcontact.metrics.distogram_loss import masked_distogram_loss
from protcontact.metrics.loss import masked_contact_loss
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.running import ContactScores
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.distogram import Distogram
from protcontact.models.heads.template_resnet import TemplateResNet
from protcontact.models.masked_residues import MaskedResidues
from protcontact.training.callbacks.separation_null import SeparationNull
from protcontact.training.checkpoint import KEY, load_model
from protcontact.training.copied_chains import CopiedChains
from protcontact.training.module import ContactModule, count_parameters
from tests.data.copying import write_first_chain


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


def test_the_temperature_of_a_validation_goes_with_its_weights_and_no_others(
    make_module, make_data, tmp_path
):
    module, data = make_module(), make_data()
    run = trainer(tmp_path, max_steps=4, val_check_interval=4, check_val_every_n_epoch=None)
    run.fit(module, data)
    held = Reliability()
    with torch.no_grad():
        for batch in data.whole_chains("val"):
            held.update(module.eval()(batch), batch)
    slow = fit_temperature(held.counts())
    assert module.temperature.value == pytest.approx(slow.value, rel=1e-4)
    assert run.callback_metrics["val/temperature"] == pytest.approx(slow.value, rel=1e-4)
    assert run.callback_metrics["val/all/ECE"] == pytest.approx(held.summary()["all/ECE"], abs=1e-6)
    run.save_checkpoint(tmp_path / "a.ckpt")
    assert load_model(tmp_path / "a.ckpt").temperature == module.temperature.value
    other = make_module()
    trainer(tmp_path).test(other, data, tmp_path / "a.ckpt", verbose=False, weights_only=True)
    assert other.temperature == module.temperature
    module.on_train_batch_start(None, 0)
    run.save_checkpoint(tmp_path / "b.ckpt")
    assert load_model(tmp_path / "b.ckpt").temperature is None
    damaged = torch.load(tmp_path / "a.ckpt", weights_only=True)
    damaged[KEY]["temperature"] = {"value": 1.5}
    with pytest.raises(InputError, match="this checkpoint .* temperature"):
        other.on_load_checkpoint(damaged)


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


def test_a_resumed_run_keeps_its_data(make_module, make_data, tmp_path):
    run = trainer(tmp_path)
    run.fit(make_module(), make_data())
    path = str(tmp_path / "model.ckpt")
    run.save_checkpoint(path)
    other = make_data()
    other.crop_size = 30
    resumed = {"ckpt_path": path, "weights_only": True}
    with pytest.raises(InputError, match="started with --data.crop_size 40"):
        trainer(tmp_path, max_steps=8).fit(make_module(), other, **resumed)
    trainer(tmp_path).validate(make_module(), other, verbose=False, **resumed)


def distances(channels):
    return Distogram(channels, channels=4, blocks=1, edges=(6.0, 8.0, 12.0))


def test_the_head_decides_what_is_minimised(make_module, make_data, tmp_path):
    """One step on one batch; the loss of validation is that of contacts whatever the head."""
    data = make_data()
    data.setup("fit")
    batch = data.whole_chain(0)
    for options in ({}, {"contact_weight": 2.0, "positive_weight": 3.0}):
        module = make_module(head=distances, min_separation=4, **options).eval()
        module.log = lambda *_, **__: None
        maps = module.model(batch, draw=True).maps
        weight = {"positive_weight": options.get("positive_weight", 1.0)}
        contacts = masked_contact_loss(module(batch), batch, min_separation=4, **weight)
        expected = masked_distogram_loss(maps, batch, (6.0, 8.0, 12.0), min_separation=4)
        expected = expected + options.get("contact_weight", 0.0) * contacts
        torch.testing.assert_close(module.training_step(batch, 0), expected)
        torch.testing.assert_close(module.loss(module(batch), batch), contacts)
    module = make_module(head=distances).eval()
    logged = trainer(tmp_path).validate(module, data, verbose=False)[0]
    chains = [data.whole_chain(row) for row in data.rows("val")]
    for name, losses in {
        "loss": [module.loss(module(chain), chain) for chain in chains],
        "objective": [module.objective(module.model(c, draw=True).maps, c) for c in chains],
    }.items():
        mean = float(torch.stack(losses).mean().detach())
        assert logged[f"val/{name}"] == pytest.approx(mean, rel=1e-5)
    assert "val/objective" not in trainer(tmp_path).validate(make_module(), data, verbose=False)[0]


def test_distances_are_learnt(make_module, make_data, tmp_path):
    module = make_module(head=distances, warmup_steps=0)
    module.optimizer = lambda params: torch.optim.AdamW(params, lr=0.02)
    data = make_data()
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))

    def losses():
        maps = module.eval().model(batch, draw=True).maps
        return module.objective(maps, batch).item(), module.loss(module(batch), batch).item()

    before = losses()
    trainer(tmp_path, max_steps=15, limit_val_batches=0).fit(module.train(), data)
    assert losses()[0] < 0.9 * before[0]
    assert losses()[1] < before[1]


def test_a_run_with_distances_and_hidden_residues_reloads_and_resumes(
    make_module, make_data, tmp_path
):
    """All it needs is read with ``weights_only=True``; the model alone, without the second task."""
    options = {"head": distances, "auxiliary": MaskedResidues, "contact_weight": 1.0}
    module, data, path = make_module(**options), make_data(), str(tmp_path / "model.ckpt")
    run = trainer(tmp_path, max_steps=2)
    run.fit(module, data)
    assert run.callback_metrics["train/masked_residue_loss"] > 1.0
    run.save_checkpoint(path)
    assert "auxiliary.letters.weight" in torch.load(path, weights_only=True)["state_dict"]
    loaded, batch = load_model(path), data.whole_chain(0)
    assert torch.equal(loaded(batch), module.eval()(batch))

    longer = trainer(tmp_path, max_steps=3)
    again = make_module(**options)
    longer.fit(again, make_data(), ckpt_path=path, weights_only=True)
    assert longer.global_step == 3
    for change in (
        {"contact_weight": 0.0},
        {"auxiliary": None},
        {"auxiliary": lambda channels: MaskedResidues(channels, share=0.3)},
    ):
        with pytest.raises(InputError, match="restore these options"):
            trainer(tmp_path, max_steps=4).fit(
                make_module(**(options | change)), make_data(), ckpt_path=path, weights_only=True
            )
    scored = make_module(head=distances)  # asks nothing of the second task
    trainer(tmp_path).validate(scored, make_data(), ckpt_path=path, weights_only=True)
    assert torch.equal(scored.eval()(batch), module(batch))


def test_hidden_residues_are_read_and_asked_for_in_training_only(make_module, make_data):
    module = make_module(auxiliary=lambda channels: MaskedResidues(channels, 0.5, weight=0.3))
    logged, read = {}, []
    module.log = lambda name, value, **_: logged.update({name: value})
    module.model.encoder.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    data = make_data()
    data.setup("fit")
    batch = data.whole_chain(0)
    torch.manual_seed(7)
    hidden = module.auxiliary.hide(batch.tokens)
    torch.manual_seed(7)
    loss = module.eval().training_step(batch, 0)
    assert torch.equal(read[0], hidden.tokens)
    assert not torch.equal(read[0], batch.tokens)
    assert len(read) == 1
    letters = logged["train/masked_residue_loss"]
    vectors = module.model.encoder(hidden.tokens, batch.mask, batch.index)
    torch.testing.assert_close(letters, module.auxiliary(vectors, batch.tokens, hidden.chosen))
    contacts = module.loss(module.model.head(vectors, batch.mask, batch.index), batch)
    torch.testing.assert_close(loss, contacts + 0.3 * letters)
    assert logged["train/loss"] is loss
    module(batch)
    assert torch.equal(read[-1], batch.tokens)


def test_a_checkpoint_from_before_these_options_goes_on(make_module, make_data, tmp_path):
    path = str(tmp_path / "model.ckpt")
    run = trainer(tmp_path, max_steps=2)
    run.fit(make_module(), make_data())
    run.save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    content[KEY]["objective"] = {"min_separation": 6, "positive_weight": 1.0}
    torch.save(content, path)
    longer = trainer(tmp_path, max_steps=3)
    longer.fit(make_module(), make_data(), ckpt_path=path, weights_only=True)
    assert longer.global_step == 3
    with pytest.raises(InputError, match="restore these options"):
        trainer(tmp_path).fit(
            make_module(auxiliary=MaskedResidues), make_data(), ckpt_path=path, weights_only=True
        )
    with pytest.raises(InputError, match="trained without an auxiliary task; leave out"):
        trainer(tmp_path).validate(
            make_module(auxiliary=MaskedResidues), make_data(), ckpt_path=path, weights_only=True
        )


@pytest.mark.parametrize(("head", "weight"), [(Bilinear, 1.0), (distances, -1.0)])
def test_refuses_a_contact_weight(make_module, head, weight):
    with pytest.raises(ValueError, match="contact_weight must be >= 0, and 0 for a head"):
        make_module(head=head, contact_weight=weight)


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


@pytest.fixture
def templates(small_data):
    """Every chain has one training chain as its template; gone after the test."""
    write_first_chain(small_data)
    yield small_data / TEMPLATES
    (small_data / TEMPLATES).unlink()


def test_the_copy_of_the_nearest_chain_stands_beside_the_score(
    make_module, make_data, templates, tmp_path
):
    module, data = make_module(), make_data()
    run = trainer(tmp_path, callbacks=[SeparationNull()])
    run.fit(module, data)
    assert "val/null_copy/long/P@L" in run.callback_metrics
    logged = run.test(module, data, verbose=False)[0]
    expected, copied = ContactScores(), CopiedChains(data.store, data.templates)
    for batch in data.whole_chains("test"):
        expected.update(copied.scores(batch, module.prior), batch)
    assert list(module.nulls) == ["separation", "copy"]
    assert module.nulls["copy"].rows() == expected.rows()
    for name in ("long/P@L", "short/P@L/5"):
        value = expected.summary()[name]
        assert logged[f"test/null_copy/{name}"] == pytest.approx(value, abs=1e-6, nan_ok=True)


def test_a_stale_file_is_refused_before_anything_is_scored(
    make_module, make_data, templates, tmp_path
):
    table = pq.read_table(templates)
    facts = json.dumps({"format": 1, "data": "other"})
    pq.write_table(table.replace_schema_metadata({"protcontact": facts}), templates)
    with pytest.raises(InputError, match="made for other chains or another split"):
        trainer(tmp_path).test(make_module(), make_data())


def test_a_head_that_looks_at_templates_says_when_there_are_none(tmp_path, make_data):
    module = ContactModule(BiLSTM(channels=4, layers=1), TemplateResNet)
    with pytest.warns(UserWarning, match="TemplateResNet looks at templates.*templates_per_chain"):
        trainer(tmp_path, max_steps=1, limit_val_batches=0).fit(module, make_data())
