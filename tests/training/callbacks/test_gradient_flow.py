"""The callback on modules that know nothing of contacts."""

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import wandb
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.plugins import MixedPrecision
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

from protcontact.gradflow.presets import full, light
from protcontact.gradflow.probe import StepProbe
from protcontact.training.callbacks import GradientFlow
from protcontact.training.callbacks.gradient_pictures import GradientPictures


class Plain(LightningModule):
    """Three layers and a loss."""

    def __init__(self, net=None, lr=0.1, optimizer=torch.optim.SGD):
        super().__init__()
        torch.manual_seed(0)
        self.net = net or nn.Sequential(
            nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1)
        )
        self.settings = optimizer, lr

    def training_step(self, batch, batch_idx):
        return self.net(batch).square().mean()

    def configure_optimizers(self):
        optimizer, lr = self.settings
        return optimizer(self.parameters(), lr=lr)


def rows(folder):
    file = next(folder.rglob("metrics.csv"), None)
    if file is None:
        return []
    with file.open() as file:
        return [row for row in csv.DictReader(file) if row.get("gradflow/global/norm_preclip")]


def fit(folder, module, *callbacks, data=None, batch=4, **changes):
    settings = {
        "accelerator": "cpu",
        "max_steps": 6,
        "logger": CSVLogger(folder),
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "log_every_n_steps": 1,
    } | changes
    torch.manual_seed(1)
    data = torch.randn(48, 4) if data is None else data
    Trainer(callbacks=list(callbacks), **settings).fit(module, DataLoader(data, batch_size=batch))
    return rows(folder)


def same(one, other, rel=1e-6):
    """Whether two runs have logged the same, costs aside."""
    assert len(one) == len(other) > 0
    for first, second in zip(one, other, strict=True):
        for name, value in first.items():
            if name.startswith("gradflow/") and "/meta/" not in name and value:
                assert float(second[name]) == pytest.approx(float(value), rel=rel, abs=1e-12), name


def test_every_number_is_that_of_a_hand_written_loop(tmp_path):
    """Accumulation over two batches, clipping, SGD: norms, coefficient and update by hand."""
    callback = GradientFlow(1, full())
    found = fit(tmp_path, Plain(), callback, accumulate_grad_batches=2, gradient_clip_val=0.05)
    assert [int(row["step"]) for row in found] == list(range(6))
    module = Plain()
    torch.manual_seed(1)
    data = torch.randn(48, 4)
    for step, row in enumerate(found):
        module.zero_grad()
        for part in data[8 * step : 8 * step + 8].split(4):
            (module.training_step(part, 0) / 2).backward()
        flat = torch.cat([p.grad.flatten() for p in module.parameters()]).double()
        norm = float(flat.norm())
        assert float(row["gradflow/global/norm_preclip"]) == pytest.approx(norm, rel=1e-5)
        clipped = min(norm, 0.05)
        assert float(row["gradflow/global/norm_postclip"]) == pytest.approx(clipped, rel=1e-4)
        assert float(row["gradflow/global/clip_coef"]) == pytest.approx(clipped / norm, rel=1e-4)
        first = torch.cat([p.grad.flatten() for p in module.net[0].parameters()]).double()
        layer = "gradflow/layer/net.0"
        assert float(row[f"{layer}/norm"]) == pytest.approx(float(first.norm()), rel=1e-5)
        assert float(row[f"{layer}/max"]) == pytest.approx(float(first.abs().max()), rel=1e-5)
        weights = torch.cat([p.detach().flatten() for p in module.net[0].parameters()]).double()
        nn.utils.clip_grad_norm_(module.parameters(), 0.05)
        torch.optim.SGD(module.parameters(), lr=0.1).step()
        ratio = 0.1 * float(first.norm()) * clipped / norm / float(weights.norm())
        update = "gradflow/update/net.0"
        assert float(row[f"{update}/ratio"]) == pytest.approx(ratio, rel=1e-3)
        assert float(row[f"{update}/cos_grad"]) == pytest.approx(1.0, abs=1e-3)
        assert float(row["gradflow/meta/cost_ms"]) > 0
        assert float(row["gradflow/meta/collectives"]) == 0


def test_accumulated_batches_are_one_batch(tmp_path):
    whole = fit(
        tmp_path / "a", Plain().double(), GradientFlow(1, full()), data=rows_of(48), batch=8
    )
    parts = fit(
        tmp_path / "b",
        Plain().double(),
        GradientFlow(1, full()),
        data=rows_of(48),
        batch=2,
        accumulate_grad_batches=4,
    )
    same(whole, parts, rel=1e-9)


def rows_of(number):
    return torch.randn(number, 4, generator=torch.Generator().manual_seed(2)).double()


class Shortcut(nn.Module):
    residual = True

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x):
        return x + torch.relu(self.inner(x))


@pytest.mark.parametrize("preset", [light, full])
def test_training_is_the_same_with_and_without(tmp_path, preset):
    """Bit by bit, dropout, a recurrence and a residual block included, and no hook is left."""
    trained = []
    for name, callbacks in (("a", [GradientFlow(1, preset())]), ("b", [])):
        torch.manual_seed(3)
        rnn = nn.LSTM(8, 8, batch_first=True)
        net = nn.Sequential(
            nn.Linear(4, 8), nn.Dropout(0.5), rnn, Last(), Shortcut(), nn.Linear(8, 1)
        )
        module = Plain(net, 0.01, lambda p, lr: torch.optim.Adam(p, lr=lr))
        found = fit(tmp_path / name, module, *callbacks, data=torch.randn(48, 5, 4))
        trained.append(module)
        if name == "a" and preset is full:
            assert found[0]["gradflow/time/net.2/reach_1e-3"]
            assert found[0]["gradflow/resnet/net.4/identity_share"]
    for one, other in zip(*(module.parameters() for module in trained), strict=True):
        assert torch.equal(one, other)
    for module in trained[0].modules():
        assert not module._forward_hooks and not module._forward_pre_hooks


class Last(nn.Module):
    def forward(self, output):
        return output[0]


def test_only_every_nth_step_is_read(tmp_path):
    found = fit(tmp_path, Plain(), GradientFlow(every_n_steps=4))
    assert [int(row["step"]) for row in found] == [0, 4]
    assert not any("/update/" in name or "/costate/" in name for name in found[0])


def test_other_steps_are_left_alone(tmp_path):
    class Counting(StepProbe):
        calls = 0

        def before_update(self, step):
            self.calls += 1
            return []

    probe = Counting()
    fit(tmp_path, Plain(), GradientFlow(3, [probe, *full()]))
    assert probe.calls == 2


class Deep(Plain):
    """Thirty sigmoids: each passes a quarter at most."""

    def __init__(self, **more):
        torch.manual_seed(0)
        parts = [part for _ in range(30) for part in (nn.Linear(8, 8), nn.Sigmoid())]
        super().__init__(nn.Sequential(nn.Linear(4, 8), *parts, nn.Linear(8, 1)), **more)


def test_adam_moves_a_block_whose_gradient_vanishes(tmp_path):
    """What SGD cannot: the first of many sigmoid layers moves as far as the last."""
    ratios = {}
    for name, optimizer in (("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)):
        module = Deep(optimizer=lambda p, lr, make=optimizer: make(p, lr=lr), lr=1e-3)
        if name == "adam":
            module.settings = (lambda p, lr: torch.optim.Adam(p, lr=lr, eps=0.0)), 1e-3
        with pytest.warns(UserWarning, match="vanishing gradient: the rms in net.0 is"):
            row = fit(tmp_path / name, module, GradientFlow(1, full()), max_steps=2)[0]
        ratios[name] = float(row["gradflow/update/net.0/ratio"])
        assert float(row["gradflow/depth/slope_log10"]) > 0.4  # a quarter per layer is 0.6
    assert ratios["sgd"] < 1e-8
    assert ratios["adam"] > 1e-4


class Recurrent(nn.Module):
    """A plain recurrence with large weights and no bound."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(4, 4)
        self.outer = nn.Linear(4, 1)
        nn.init.normal_(self.inner.weight, std=1.5)

    def forward(self, x):
        for _ in range(20):
            x = torch.relu(self.inner(x))
        return self.outer(x)


def planted():
    module = Plain()
    with torch.no_grad():
        module.net[2].weight[0, 0] = math.nan
    return module


def half_dead():
    module = Plain(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    with torch.no_grad():
        module.net[0].bias[:6] = -100.0
    return module


@pytest.mark.parametrize(
    ("module", "title", "names"),
    [
        (Deep(), "vanishing gradient", "net.0"),
        (Plain(Recurrent(), lr=1e-30), "exploding gradient", "net.inner"),
        (planted(), "non-finite gradient", "net.0.weight"),
        (half_dead(), "dead units", "75% of the units in net.0"),
    ],
)
def test_what_is_broken_is_named_and_told_once(tmp_path, module, title, names, recwarn):
    data = torch.randn(320, 4)
    fit(tmp_path, module, GradientFlow(5, full()), max_steps=20, data=data, batch=16)
    told = [str(one.message) for one in recwarn if title in str(one.message)]
    assert len(told) == 1
    assert told[0].startswith("step 5: " if title == "dead units" else "step 0: ")
    assert names in told[0]
    assert "ry " in told[0]  # what to try


def test_a_healthy_model_is_not_warned_about(tmp_path, recwarn):
    fit(tmp_path, Plain(), GradientFlow(1, full()), max_steps=20, data=torch.randn(80, 4))
    assert not [one for one in recwarn if "step " in str(one.message)]


@pytest.mark.parametrize("fused", [False, True])
def test_fp16_the_scale_is_taken_off(tmp_path, fused):
    """A fused optimizer unscales in its own step, so Lightning hands it scaled gradients."""
    plain = fit(tmp_path / "a", Plain(), GradientFlow(1, full()))
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    module = Plain(optimizer=lambda p, lr: torch.optim.SGD(p, lr=lr, fused=fused))
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    plugin.forward_context = MixedPrecision("bf16-mixed", "cpu").forward_context
    plugin.forward_context = torch.enable_grad  # the scale alone, without the rounding
    scaled = fit(tmp_path / "b", module, GradientFlow(1, full()), plugins=[plugin])
    same(plain, scaled, rel=1e-4)
    assert float(scaled[0]["gradflow/amp/scale"]) == 4096.0
    assert float(scaled[0]["gradflow/amp/skipped"]) == 0.0


def test_fp16_a_skipped_step_is_read_too(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=4096.0)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    plugin.forward_context = torch.enable_grad
    with pytest.warns(UserWarning, match="non-finite gradient"):
        found = fit(tmp_path, planted(), GradientFlow(1, full()), max_steps=2, plugins=[plugin])
    assert [float(row["gradflow/amp/skipped"]) for row in found[:2]] == [1.0, 1.0]
    # the scale that the step was made with, not the one after it
    assert [float(row["gradflow/amp/scale"]) for row in found[:2]] == [4096.0, 2048.0]


class Checkpointed(Plain):
    """The first layers are computed again in the backward pass."""

    def training_step(self, batch, batch_idx):
        hidden = checkpoint(self.net[:3], batch, use_reentrant=False)
        return self.net[3](hidden).square().mean()


def test_activation_checkpointing_changes_nothing(tmp_path):
    plain = fit(tmp_path / "a", Plain().double(), GradientFlow(1, full()), data=rows_of(48))
    again = fit(tmp_path / "b", Checkpointed().double(), GradientFlow(1, full()), data=rows_of(48))
    same(plain, again, rel=1e-9)


def test_a_compiled_model_is_read_like_any_other(tmp_path):
    """Hooks on compiled code never fire: the measured step runs as it was written."""
    plain = fit(tmp_path / "a", Plain().double(), GradientFlow(2, full()), data=rows_of(48))
    module = Plain().double()
    module.net = torch.compile(module.net, backend="aot_eager")
    compiled = fit(tmp_path / "b", module, GradientFlow(2, full()), data=rows_of(48))
    same(plain, compiled, rel=1e-9)
    whole = torch.compile(Plain().double(), backend="aot_eager")
    compiled = fit(tmp_path / "c", whole, GradientFlow(2, full()), data=rows_of(48))
    same(plain, compiled, rel=1e-9)


def test_light_breaks_no_graph(tmp_path):
    from torch._dynamo.utils import counters

    module = Plain()
    module.net = torch.compile(module.net, backend="aot_eager")
    torch._dynamo.reset()
    counters.clear()
    fit(tmp_path, module, GradientFlow(1))
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] == 1


class Manual(Plain):
    """Two optimizers, stepped by hand, gradients gone before the batch ends."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self):
        return [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in (self.net[0], self.net[2])]

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            self.manual_backward(self.net(batch).square().mean())
            optimizer.step()
            optimizer.zero_grad()


def test_of_two_optimizers_each_step_is_read_alone(tmp_path):
    """The gradient that the other network has from before is not that of this step."""

    class Two(Manual):
        def training_step(self, batch, batch_idx):
            first, second = self.optimizers()
            self.manual_backward(self.net(batch).square().mean())
            first.step()  # the second keeps its gradient
            first.zero_grad()

    row = fit(tmp_path, Two(), GradientFlow(1, full()), max_steps=1)[0]
    module = Plain()
    torch.manual_seed(1)
    module.training_step(torch.randn(48, 4)[:4], 0).backward()
    expected = float(torch.cat([p.grad.flatten() for p in module.net[0].parameters()]).norm())
    assert float(row["gradflow/global/norm_preclip"]) == pytest.approx(expected, rel=1e-5)
    assert not any("net.2" in name for name in row if "/layer/" in name)


def test_a_skipped_step_whose_gradients_are_gone_is_still_read(tmp_path):
    """Optimization by hand clears the gradients, also where the scaler has skipped the step."""

    class Skipping(Manual):
        def __init__(self):
            super().__init__()
            with torch.no_grad():
                self.net[2].weight[0, 0] = math.nan

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()[0]
            self.manual_backward(self.net(batch).square().mean())
            optimizer.step()
            optimizer.zero_grad()

    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=4.0))
    plugin.forward_context = torch.enable_grad
    with pytest.warns(UserWarning, match="non-finite gradient"):
        found = fit(tmp_path, Skipping(), GradientFlow(1, full()), max_steps=2, plugins=[plugin])
    assert float(found[0]["gradflow/global/nonfinite"]) > 0
    assert not found[0].get("gradflow/global/norm_postclip")


def test_a_step_that_came_to_nothing_is_not_read(tmp_path):
    class Sometimes(Plain):
        def training_step(self, batch, batch_idx):
            return None if batch_idx % 3 == 0 else super().training_step(batch, batch_idx)

    found = fit(tmp_path, Sometimes(), GradientFlow(3, full()), max_steps=6)
    assert all(int(row["step"]) % 3 == 0 for row in found)


def test_it_draws_at_each_validation(tmp_path, monkeypatch):
    class Validated(Plain):
        def validation_step(self, batch, batch_idx):
            pass

        def val_dataloader(self):
            return DataLoader(torch.randn(4, 4))

    drawn = []
    monkeypatch.setattr(GradientPictures, "draw", lambda self, folder: drawn.append(folder) or {})
    fit(tmp_path, Validated(), GradientFlow(2), check_val_every_n_epoch=None, val_check_interval=2)
    assert len(drawn) == 3 + 1


def test_one_callback_for_two_trainings_starts_anew(tmp_path):
    callback = GradientFlow(2, full())
    for name in ("a", "b"):
        with pytest.warns(UserWarning, match="non-finite gradient"):
            found = fit(tmp_path / name, planted(), callback)
        assert [int(row["step"]) for row in found] == [0, 2, 4]
        assert len(callback.pictures._profiles) == 3


def test_the_last_reading_before_an_error_is_logged(tmp_path):
    class Failing(Plain):
        def training_step(self, batch, batch_idx):
            if batch_idx == 2:
                raise KeyError("in the middle")
            return super().training_step(batch, batch_idx)

    callback, module = GradientFlow(1, full()), Failing()
    with pytest.raises(KeyError):
        fit(tmp_path, module, callback)
    assert [int(row["step"]) for row in rows(tmp_path)] == [0, 1]
    assert not any(m._forward_hooks for m in module.modules())
    other = Plain(nn.Sequential(nn.Linear(4, 1)))
    found = fit(tmp_path / "other", other, callback)
    assert not any("net.3" in name for name in found[0])


@pytest.mark.parametrize("settings", [{"logger": False}, {"fast_dev_run": True}])
def test_without_a_run_nothing_is_written(tmp_path, monkeypatch, settings):
    monkeypatch.chdir(tmp_path)
    fit(tmp_path / "run", Plain(), GradientFlow(1, full()), **settings)
    assert not list(tmp_path.rglob("gradient_flow"))


def test_manual_optimization(tmp_path):
    found = fit(tmp_path, Manual(), GradientFlow(1, full()), max_steps=8)
    assert [int(row["step"]) for row in found] == [0, 2, 4, 6]  # the first of each batch's two
    assert all(float(row["gradflow/global/norm_preclip"]) > 0 for row in found)


def test_pictures_and_curves_are_in_the_folder_of_the_run(tmp_path):
    net = nn.Sequential(nn.LSTM(4, 6, batch_first=True), Last(), nn.Linear(6, 1))
    fit(tmp_path, Plain(net), GradientFlow(2, full()), data=torch.randn(24, 9, 4))
    folder = next(tmp_path.rglob("gradient_flow"))
    for name in ("depth", "time", "gates"):
        assert Image.open(folder / f"{name}.png").size[0] > 100
    with (folder / "curves.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert {row["step"] for row in curves} == {"0", "2", "4"}
    assert any(row["name"].startswith("time/") for row in curves)


@pytest.mark.parametrize(
    "settings", [{"every_n_steps": 0}, {"vanishing": 0.0}, {"exploding": -1.0}, {"dead": 0.0}]
)
def test_refuses(settings):
    with pytest.raises(ValueError, match="every_n_steps must be >= 1"):
        GradientFlow(**settings)


@pytest.mark.slow
def test_wandb_gets_the_numbers_the_pictures_and_the_alarm(tmp_path, monkeypatch):
    """As its own reader of offline runs finds them in the run's file."""
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb.finish()  # what another test has left open
    logger = WandbLogger(save_dir=tmp_path, offline=True)
    told = []
    monkeypatch.setattr(logger.experiment, "alert", lambda **words: told.append(words))
    net = nn.Sequential(nn.LSTM(4, 6, batch_first=True), Last(), nn.Linear(6, 1))
    data = torch.randn(24, 9, 4)
    data[8, 0, 0] = math.nan  # in the third batch
    loggers = [CSVLogger(tmp_path), logger]
    with pytest.warns(UserWarning, match="step 2: non-finite gradient"):
        fit(tmp_path, Plain(net), GradientFlow(2, full()), data=data, logger=loggers, max_steps=3)
    logger.experiment.finish()
    assert [alert["title"] for alert in told] == ["non-finite gradient"]
    assert "net.0.weight_ih_l0" in told[0]["text"]
    run = next((tmp_path / "wandb").glob("offline-run-*"))
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "No such command" in done.stderr:
        pytest.skip("this wandb cannot read an offline run")
    assert done.returncode == 0, done.stderr
    for name in (
        "global/norm_preclip",
        "layer/net.0/rms",
        "update/net.2/ratio",
        "costate/net.2/norm",
        "time/net.0/reach_1e-3",
        "lstm/net.0/f_mean",
        "dead/net.0/share",
        "depth",
        "time",
        "gates",
    ):
        found = f'"gradflow/{name}"' in done.stdout or f'"gradflow/{name}._type"' in done.stdout
        assert found, name
