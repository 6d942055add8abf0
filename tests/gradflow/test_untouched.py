"""Running a model once more leaves no trace; and what the tests of such probes have in common."""

import contextlib
import copy
import inspect
import random
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from protcontact.gradflow.layers import Parameters
from protcontact.gradflow.probe import Step, StepProbe
from protcontact.gradflow.untouched import subject, untouched
from protcontact.metrics.loss import masked_contact_loss
from protcontact.models.contract import ContactModel, PairHead
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.bilinear import Bilinear
from protcontact.structure.alphabet import PADDING
from tests.metrics.chains import compact_chain, make_batch

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Gram(PairHead):
    """The smallest head; unlike those of the package it reads no tensor on the host."""

    def forward(self, x, mask, index=None):
        return x @ x.transpose(1, 2)


def random_batch(lengths, seed=0, padding=0, unresolved=0.1):
    """Compact chains with random letters and unresolved residues."""
    chains = [compact_chain(L, seed + place, unresolved) for place, L in enumerate(lengths)]
    batch = make_batch(chains, padding=padding)
    generator = torch.Generator().manual_seed(seed)
    letters = torch.randint(0, 20, (len(lengths), max(lengths)), generator=generator)
    letters = torch.nn.functional.pad(letters, (0, padding))
    return replace(batch, tokens=torch.where(batch.mask, letters, PADDING))


def contact_model(encoder=BiLSTM, head=Bilinear, seed=0, dtype=torch.float64, **options):
    torch.manual_seed(seed)
    encoder = encoder(**options)
    return ContactModel(encoder, head(encoder.out_channels)).to(dtype)


def noise(kind, **shares):
    """Of these arguments those that an encoder has: a pretrained one was trained without."""
    return {name: shares[name] for name in inspect.signature(kind).parameters if name in shares}


def step_of(model, batch):
    return Step(model, batch, Parameters((), ()))


def traces(model):
    """Everything that a measurement might change, each in a form that ``==`` compares."""
    modules, parameters = list(model.modules()), list(model.parameters())
    return {
        "modes": [module.training for module in modules],
        "hooks": [list(getattr(module, kind)) for module in modules for kind in HOOKS],
        "weights": [parameter.detach().flatten().tolist() for parameter in parameters],
        "frozen": [parameter.requires_grad for parameter in parameters],
        "which gradient": [id(parameter.grad) for parameter in parameters],
        "gradients": [None if p.grad is None else p.grad.flatten().tolist() for p in parameters],
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": numpy.random.get_state()[1].tolist(),
        "cudnn": torch.backends.cudnn.enabled,
        "grad mode": torch.is_grad_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
    }


def awake(model, batch):
    """A model in the middle of training: dropout, one part in eval mode, gradients, one frozen."""
    model.train()
    model.head.eval()
    masked_contact_loss(model(batch), batch).backward()
    frozen = next(model.head.parameters(), None)
    if frozen is not None:
        frozen.grad = None
        frozen.requires_grad_(False)
    return model


def assert_no_trace(probe, model, batch, breaking):
    """Neither after a measurement, nor after one that an exception in a module has ended."""
    before = traces(awake(model, batch))
    assert probe.after_update(step_of(model, batch))
    assert traces(model) == before
    breaking.forward = broken
    with pytest.raises(ArithmeticError):
        probe.after_update(step_of(model, batch))
    del breaking.forward
    assert traces(model) == before


def broken(*_):
    torch.rand(3)
    raise ArithmeticError


class Waiting(TorchDispatchMode):
    """Refuses operations for whose result a device would have to wait."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "bincount")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        by_mask = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
        if by_mask or name.lstrip("_").removesuffix("2") in [n.lstrip("_") for n in self.NAMES]:
            raise AssertionError(f"{func} makes the device wait")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def never_waits(monkeypatch):
    """Fail where a tensor is read on the host."""

    def refuse(*_):
        raise AssertionError("reading a tensor on the host makes the device wait")

    with monkeypatch.context() as patch, Waiting():
        for name in ("tolist", "numpy", "cpu", "item", "__bool__", "__int__", "__float__"):
            patch.setattr(torch.Tensor, name, refuse)
        yield


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0].item(),
        lambda x: x.tolist(),
        lambda x: float(x.sum()),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x[x.argmax()],
        lambda x: x.nonzero(),
        lambda x: torch.where(x > 0),
        lambda x: torch.equal(x, x),
        lambda x: x.cpu(),
        lambda x: x.unique(),
    ],
)
def test_the_guard_of_the_other_tests_sees_what_waits(read, monkeypatch):
    with never_waits(monkeypatch):
        torch.ones(3)[torch.tensor([0, 2])] * 2  # places do not wait
        with pytest.raises(AssertionError, match="makes the device wait"):
            read(torch.ones(3))


def test_inside_the_model_is_deterministic_and_differentiable():
    batch = random_batch([30, 20])
    model = awake(contact_model(dropout=0.5, corruption=0.5), batch)
    with torch.no_grad(), untouched(model):
        assert not any(module.training for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())
        first, second = model(batch), model(batch)
        assert torch.equal(first, second)
        assert torch.autograd.grad(first.sum(), model.encoder.norms[0].weight)[0].any()


@pytest.mark.parametrize("error", [None, ArithmeticError, KeyboardInterrupt])
def test_afterwards_everything_is_as_it_was(error):
    batch = random_batch([30, 20])
    model = awake(contact_model(dropout=0.5), batch)
    before = traces(model)
    with contextlib.suppress(ArithmeticError, KeyboardInterrupt), untouched(model):
        torch.rand(5)
        model.head.train()
        model(batch).sum().backward()
        if error is not None:
            raise error
    assert traces(model) == before
    assert not model.head.training
    assert model.encoder.training


def test_the_traces_are_seen():
    """What the comparison above would say if something was left behind."""
    batch = random_batch([30, 20])
    model = awake(contact_model(), batch)
    before = traces(model)
    for what, change in {
        "modes": lambda: model.encoder.dropout.eval(),
        "hooks": lambda: model.head.register_forward_hook(lambda *_: None),
        "torch": lambda: torch.rand(1),
        "gradients": lambda: model.encoder.norms[0].weight.grad.add_(1),
        "which gradient": lambda: setattr(model.encoder.norms[0].weight, "grad", None),
    }.items():
        change()
        assert traces(model)[what] != before[what]


def test_autocast_is_what_was_asked_for():
    model = nn.Linear(4, 4)
    with untouched(model, torch.bfloat16):
        assert model(torch.ones(1, 4)).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        with untouched(model):
            assert model(torch.ones(1, 4)).dtype == torch.float32
        assert model(torch.ones(1, 4)).dtype == torch.bfloat16


def test_a_cast_of_the_weights_before_the_update_is_not_taken_again():
    """Autocast keeps what it has cast until its outermost context is left."""
    model = nn.Linear(4, 4, bias=False)
    x = torch.ones(1, 4)
    with torch.autocast("cpu", torch.bfloat16):
        old = model(x)
        with torch.no_grad():
            model.weight.zero_()
        assert torch.equal(model(x), old)
        with untouched(model, torch.bfloat16):
            assert not model(x).any()


def test_cudnn_is_off_for_recurrences_only_whatever_its_precisions():
    """`cudnn.flags` fails on the second case, and would set all of its flags."""
    for model, enabled in ((nn.Linear(2, 2), True), (nn.LSTM(2, 2), False)):
        with untouched(model):
            assert torch.backends.cudnn.enabled is enabled
        assert torch.backends.cudnn.enabled
    if not hasattr(torch.backends.cudnn, "conv"):
        return
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    try:
        with untouched(nn.LSTM(2, 2)):
            assert not torch.backends.cudnn.enabled
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"
    finally:
        torch.backends.cudnn.conv.fp32_precision = before


def compile_wrapped(model, backend):
    model.encoder = torch.compile(model.encoder, backend=backend)


def compile_in_place(model, backend):
    model.encoder.compile(backend=backend)


@pytest.mark.skipif(not hasattr(torch.compiler, "set_stance"), reason="torch >= 2.6")
@pytest.mark.parametrize("compiled", [compile_wrapped, compile_in_place])
def test_what_is_compiled_runs_eagerly_and_is_not_compiled_again(compiled):
    batch = random_batch([30, 20])
    model = contact_model(Transformer)
    subject_of_plain = subject(step_of(model, batch), StepProbe()).encoder
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled(model, backend)
    expected = model.train()(batch)
    compilations, calls = len(graphs), []
    assert compilations > 0
    assert subject(step_of(model, batch), StepProbe()).encoder is subject_of_plain
    with untouched(model):
        hook = subject_of_plain.norm.register_forward_hook(lambda *_: calls.append(1))
        model(batch)
        hook.remove()
    assert calls == [1]
    assert torch.equal(model(batch), expected)
    assert len(graphs) == compilations


def test_the_subject_is_the_first_contact_model():
    batch, model = random_batch([30]), contact_model()
    for holder in (model, nn.Sequential(nn.Linear(1, 1), model, copy.deepcopy(model))):
        found = subject(step_of(holder, batch), StepProbe())
        assert found.model is model
        assert found.encoder is model.encoder
        assert found.batch is batch


def test_refuses_other_models_and_batches():
    batch = random_batch([30])
    with pytest.raises(ValueError, match=r"StepProbe needs .* ContactModel, which Linear does not"):
        subject(step_of(nn.Linear(1, 1), batch), StepProbe())
    with pytest.raises(ValueError, match=r"StepProbe needs .* not a list; leave this probe out"):
        subject(step_of(contact_model(), [batch]), StepProbe())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recurrence_on_a_gpu_has_a_gradient_and_the_random_numbers_stay():
    batch = random_batch([30, 20]).to("cuda")
    model = contact_model(dtype=torch.float32).cuda().train()
    before = torch.cuda.get_rng_state()
    with untouched(model):
        torch.rand(5, device="cuda")
        weights = list(model.parameters())
        assert all(g.isfinite().all() for g in torch.autograd.grad(model(batch).sum(), weights))
    assert torch.equal(torch.cuda.get_rng_state(), before)
