"""``protcontact fit`` on an imported protein language model: frozen, adapted, trained in full."""

import json
import shutil
import socket
import subprocess
import sys
import time

import pytest
import torch

from protcontact.cli import main
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.training.checkpoint import load_model
from protcontact.training.module import ContactModule
from tests.commands.test_lightning import data, environment, losses  # noqa: F401
from tests.gradflow.test_untouched import random_batch
from tests.models.encoders.test_esm2_frozen import imported

CONFIGS = {"esm2": "FrozenESM2", "esm2_full": "ESM2", "esm2_lora": "LoRAESM2"}
STEPS = 3


@pytest.fixture
def checkpoint(tmp_path):
    return imported(tmp_path / "esm.safetensors")


SMALL_HEAD = {"model.head.blocks": 2, "model.head.channels": 8}
MAPS = {"config": "configs/head/attention_maps.yaml"}  # in place of that head


def words(config, checkpoint, data, run, head=SMALL_HEAD, **more):  # noqa: F811
    """As typed: the published config, made short and small."""
    options = {
        "model.encoder.checkpoint": checkpoint,
        "model.warmup_steps": 1,
        "data.path": data,
        "data.pair_budget": 8000,
        "trainer.accelerator": "cpu",
        "trainer.precision": "32-true",
        "trainer.max_steps": STEPS,
        "trainer.val_check_interval": STEPS,
        "trainer.log_every_n_steps": 1,
        "trainer.enable_model_summary": "false",
        "trainer.default_root_dir": run,
    }
    flat = [word for item in (head | options | more).items() for word in (f"--{item[0]}", item[1])]
    return [str(word) for word in ("fit", "--config", f"configs/{config}.yaml", *flat)]


ONE_OF_TWO = """
import json, sys
from protcontact.cli import main
for words in json.loads(sys.argv[1]):
    assert main(words) == 0
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):  # noqa: F811
    """Folder in which two processes have run all three configs, one after another.

    Each process is started here, as a cluster does it: Lightning would start the second of each
    run anew, and most of the time would be spent with imports.
    """
    folder = tmp_path_factory.mktemp("trained")
    checkpoint = imported(folder / "esm.safetensors")
    lines = []
    for config in CONFIGS:
        more = {"trainer.devices": 2, "trainer.strategy": "ddp"}
        more |= {"model.encoder.cache": folder / "cache"} if config == "esm2" else {}
        lines.append(words(config, checkpoint, data, folder / config, **more))
    more = {"trainer.devices": 2, "trainer.strategy": "ddp"}
    lines.append(words("esm2_full", checkpoint, data, folder / "maps", MAPS, **more))
    common = environment() | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    command = [sys.executable, "-c", ONE_OF_TWO, json.dumps(lines)]
    with (folder / "output.txt").open("wb") as output:
        both = [
            subprocess.Popen(
                command,
                env=common | {"LOCAL_RANK": str(rank), "WANDB_MODE": "disabled"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            for rank in range(2)
        ]
        try:
            deadline = time.monotonic() + 250
            while any(process.poll() is None for process in both):
                failed = any(process.poll() for process in both)  # the other would wait for it
                assert not failed and time.monotonic() < deadline, output_of(folder)
                time.sleep(0.05)
        finally:
            for process in both:
                process.kill()
                process.wait()
    assert [process.returncode for process in both] == [0, 0], output_of(folder)
    return folder


def output_of(folder):
    return (folder / "output.txt").read_text()


@pytest.mark.slow
def test_two_processes_trained_all_three(trained):
    """And, behind the last layer's map, weights that nothing depends on."""
    for config in (*CONFIGS, "maps"):
        assert [path.name for path in (trained / config).iterdir()] == ["version_0"]
        assert set(losses(trained / config)) == set(range(STEPS))
    model = load_model(trained / "maps" / "version_0" / "checkpoints" / "best.ckpt")
    assert isinstance(model.head, AttentionMaps) and model.head.weight.all()
    kept = [path for path in (trained / "cache").rglob("*") if path.is_file()]
    assert len(kept) > 5
    assert all(path.suffix == ".safetensors" for path in kept)


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_a_checkpoint_is_all_that_is_needed(config, trained, tmp_path):
    """Neither the imported file nor the cache: on another machine there are none."""
    path = tmp_path / "best.ckpt"
    shutil.copy(trained / config / "version_0" / "checkpoints" / "best.ckpt", path)
    original = ESM2(checkpoint=str(trained / "esm.safetensors"))
    (trained / "esm.safetensors").rename(tmp_path / "away")
    try:
        model = load_model(path)
    finally:
        (tmp_path / "away").rename(trained / "esm.safetensors")
    assert type(model.encoder).__name__ == CONFIGS[config]
    own = model.encoder.init_args
    assert own["checkpoint"] is None and own.get("cache") is None
    batch = random_batch([20, 9])
    x, y = (e(batch.tokens, batch.mask, batch.index) for e in (model.encoder, original.eval()))
    assert torch.equal(x, y) == (config == "esm2")  # the others have learnt

    module = ContactModule(model.encoder, lambda channels: model.head)
    state = torch.load(path, weights_only=True)["state_dict"]
    assert set(state) == set(module.state_dict())
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    before = model(batch)
    module.load_state_dict(state, strict=True)
    assert torch.equal(module(batch), load_model(path)(batch))
    assert not torch.equal(module(batch), before)


@pytest.mark.slow
def test_cached_embeddings_give_the_same_losses(checkpoint, data, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("WANDB_MODE", "disabled")
    found = []
    for name, cache in (("plain", None), ("writes", "cache"), ("reads", "cache")):
        more = {"trainer.max_steps": 7}  # more than an epoch
        more |= {"model.encoder.cache": tmp_path / cache} if cache else {}
        assert main(words("esm2", checkpoint, data, tmp_path / name, **more)) == 0
        if name == "writes":
            written = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
        found.append(losses(tmp_path / name))
    plain, writes, reads = found
    assert set(plain) == set(range(7))
    assert writes == reads  # all digits that are logged
    assert writes == pytest.approx(plain, rel=1e-5)
    now = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.safetensors")}
    assert now == written and len(now) == 25  # 20 chains of training, 5 of validation


def test_a_library_that_is_absent_is_named(checkpoint, data, tmp_path, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setitem(sys.modules, "peft", None)
    assert main(words("esm2_lora", checkpoint, data, tmp_path / "run")) == 2
    assert "this needs peft, which is not installed; `pip install peft`" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("config", CONFIGS)
def test_a_file_that_is_none_is_refused(config, data, tmp_path, capsys):  # noqa: F811
    (tmp_path / "bad").write_text("hello")
    assert main(words(config, tmp_path / "bad", data, tmp_path / "run")) == 2
    assert f"{tmp_path / 'bad'} cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
