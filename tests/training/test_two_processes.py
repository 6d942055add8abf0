"""Two processes over gloo: DDP and FSDP2 make the steps of one process, and a dead one is noticed.

Starting processes is what costs the time here, so one pair of them does everything in turn.
"""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import yaml

from protcontact.cli import main
from protcontact.training.checkpoint import KEY, load_model
from tests.data.copying import write_first_chain

ROOT = Path(__file__).parents[2]
STRATEGIES = ("ddp", "fsdp")
STEPS = 8
SETTINGS = {
    "model": {
        "encoder": {
            "class_path": "protcontact.models.encoders.transformer.Transformer",
            "init_args": {"channels": 8, "layers": 2, "heads": 2, "corruption": 0.1},
        },
        "head": {
            "class_path": "protcontact.models.heads.resnet.ResNet",
            "init_args": {"channels": 5, "blocks": 2, "dropout": 0.1},  # 5: uneven shards
        },
        "auxiliary": {"class_path": "protcontact.models.masked_residues.MaskedResidues"},
        "warmup_steps": 2,
    },
    # one chain a batch in evaluation: how it is padded may not depend on the number of processes
    "data": {"pair_budget": 3200, "crop_size": 40, "eval_pair_budget": 1},
    "trainer": {
        "accelerator": "cpu",
        "precision": "32-true",
        "max_steps": STEPS,
        "val_check_interval": STEPS,
        "log_every_n_steps": 1,
        "gradient_clip_val": 0.1,  # so small that every step is clipped
        "enable_model_summary": False,
    },
}
RUN_ALL = """
import json, sys
from protcontact.cli import main
for words in json.load(open(sys.argv[1])):
    assert main(words) == 0, words
"""
SCORED = {"validate": "ddp", "test": "fsdp"}
MIDDLE = Path("ddp", "version_0", "checkpoints", "middle.ckpt")
WITHIN = 5.0  # seconds from a death to the end of the job; a look every 0.2 s, and the exit


def words(verb, run, *options, strategy=None):
    """Arguments of a verb; `run` is its folder, and its parent holds config and data."""
    folder = run.parent
    configs = ["--config", folder / "base.yaml", "--config", folder / "small.yaml"]
    if strategy:
        configs += ["--config", ROOT / "configs" / "strategy" / f"{strategy}.yaml"]
        options = (*options, "--trainer.devices", 2)
    places = ["--data.path", folder / "data", "--trainer.default_root_dir", run]
    return [str(word) for word in (verb, *configs, *places, *options)]


def environment(**more):
    plain = {name: value for name, value in os.environ.items() if name != "PL_GLOBAL_SEED"}
    return plain | {
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "disabled",
        "PYTHONPATH": str(ROOT),
        "PYTHONFAULTHANDLER": "1",
        **more,
    }


def last_checkpoint(run, name="last"):
    return sorted(run.glob("version_*"))[-1] / "checkpoints" / f"{name}.ckpt"


def run_pair(jobs, folder):
    """Two processes that do all `jobs` in turn, as torchrun would start them."""
    (folder / "jobs.json").write_text(json.dumps(jobs))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = []
    for rank in range(2):
        with (folder / f"pair_{rank}.txt").open("wb") as output:
            command = [sys.executable, "-c", RUN_ALL, str(folder / "jobs.json")]
            own = environment(LOCAL_RANK=str(rank), NODE_RANK="0", **shared)
            streams = {"stdout": output, "stderr": subprocess.STDOUT}
            processes.append(subprocess.Popen(command, env=own, **streams))
    try:
        for rank, process in enumerate(processes):
            assert process.wait(timeout=240) == 0, (folder / f"pair_{rank}.txt").read_text()
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def folder(small_data, tmp_path_factory):
    """A config on the package's own base.yaml, with all of its callbacks, and data."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(small_data, folder / "data")
    write_first_chain(folder / "data")
    base = yaml.safe_load((ROOT / "configs" / "base.yaml").read_text())
    for callback in base["trainer"]["callbacks"]:
        if callback.get("init_args", {}).get("filename") == "last":
            callback["init_args"]["every_n_train_steps"] = 1
        if callback["class_path"].endswith("ContactImages"):
            callback["init_args"] = {"chains": 1}
    middle = {"filename": "middle", "every_n_train_steps": 5}  # and not again before step 8
    base["trainer"]["callbacks"] += [
        {"class_path": "tests.training.recording.Losses"},
        {"class_path": "pytorch_lightning.callbacks.ModelCheckpoint", "init_args": middle},
    ]
    (folder / "base.yaml").write_text(yaml.safe_dump(base))
    (folder / "small.yaml").write_text(yaml.safe_dump(SETTINGS))
    return folder


@pytest.fixture(scope="module")
def one(folder):
    """One process that accumulates two batches, and what the checkpoint of it scores."""
    os.environ["WANDB_MODE"] = "disabled"
    accumulating = ["--trainer.accumulate_grad_batches", 2, "--trainer.val_check_interval"]
    assert main(words("fit", folder / "one", *accumulating, 2 * STEPS)) == 0
    return folder / "one"


@pytest.fixture(scope="module")
def killed(folder):
    """A job of two that Lightning starts, of which the second dies: its end, who died, seconds."""
    die = {"class_path": "tests.training.recording.Die", "init_args": {"rank": 1, "step": 3}}
    run = folder / "killed"
    more = ["--trainer.callbacks+", json.dumps(die)]
    command = [sys.executable, "-m", "protcontact", *words("fit", run, *more, strategy="fsdp")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=240)
    process, when = json.loads((run / "died.json").read_text())
    return done, process, time.time() - when


@pytest.fixture(scope="module")
def two(folder, killed, one):
    """Everything else on two processes: both strategies, what was killed, and the scores."""
    jobs = [words("fit", folder / strategy, strategy=strategy) for strategy in STRATEGIES]
    last = ["--ckpt_path", "last"]
    jobs.append(words("fit", folder / "killed", *last, strategy="fsdp"))
    others = {"ddp": last_checkpoint(folder / "killed"), "fsdp": MIDDLE}  # from each other's file
    for strategy, path in others.items():
        going_on = ["--ckpt_path", folder / path]
        jobs.append(words("fit", folder / f"{strategy}_on", *going_on, strategy=strategy))
    resumed = Path("fsdp_on", "version_0", "checkpoints", "last.ckpt")  # and now once more
    more = ["--ckpt_path", folder / resumed, "--trainer.max_steps", STEPS + 1]
    jobs.append(words("fit", folder / "again", *more, strategy="ddp"))
    for verb, strategy in SCORED.items():
        checkpoint = ["--ckpt_path", last_checkpoint(one)]
        jobs.append(words(verb, folder / f"two_{verb}", *checkpoint, strategy=strategy))
    run_pair(jobs, folder)
    return folder


def losses(run, rank=0):
    return json.loads((run / f"rank_{rank}.json").read_text())


def weights(run):
    content = torch.load(last_checkpoint(run), weights_only=True)
    assert content["global_step"] == STEPS
    return content["state_dict"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_make_the_steps_of_one(one, two, strategy):
    """The loss of every batch, over the end of an epoch, with dropout and mutations."""
    dealt = [losses(two / strategy, rank) for rank in range(2)]
    alone = losses(one)
    assert len(alone) == 2 * STEPS and all(len(own) == STEPS for own in dealt)
    assert len(set(alone)) > STEPS  # else nothing was compared
    for batch, loss in enumerate(alone):
        assert dealt[batch % 2][batch // 2] == pytest.approx(loss, rel=1e-5), batch


@pytest.mark.slow
@pytest.mark.parametrize("run", [*STRATEGIES, "killed", *(f"{name}_on" for name in STRATEGIES)])
def test_they_end_with_the_weights_of_one(one, two, run):
    """Also the job that died and went on, and where a strategy goes on from the other's file."""
    expected, found = weights(one), weights(two / run)
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("verb", SCORED)
def test_the_same_digits_on_two_processes(one, two, verb):
    run = one.parent / f"one_{verb}"
    assert main(words(verb, run, "--ckpt_path", last_checkpoint(one))) == 0
    stage = {"validate": "val", "test": "test"}[verb]
    for name in (f"{stage}_scores.json", f"{stage}_chains.tsv"):
        texts = [next(each.glob(f"version_*/{name}")) for each in (run, two / f"two_{verb}")]
        assert texts[0].read_text() == texts[1].read_text()
        assert "copy" in texts[0].read_text()
    logs = [next(each.glob("version_*/metrics.csv")) for each in (run, two / f"two_{verb}")]
    rows = [next(csv.DictReader(log.open(newline=""))) for log in logs]
    assert float(rows[0][f"{stage}/loss"]) > 0
    names = [name for name in rows[0] if not name.startswith("cost/")]
    assert [rows[0][name] for name in names] == [rows[1][name] for name in names]


@pytest.mark.slow
def test_a_dead_rank_ends_the_job_and_is_named(killed, folder):
    done, process, seconds = killed
    assert done.returncode == 1
    assert f"rank 1 (process {process}) was killed by SIGKILL" in done.stderr
    assert "--ckpt_path last goes on" in done.stderr
    assert seconds < WITHIN
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            assert str(folder / "killed") not in entry.read_text(), f"{entry} is left of it"


@pytest.mark.slow
def test_a_sharded_checkpoint_is_one_file_for_one_process(two):
    """Best and last: weights, description and optimizer groups of a run without shards."""
    for name in ("best", "last"):
        paths = [last_checkpoint(two / strategy, name) for strategy in STRATEGIES]
        plain, sharded = (load_model(path).state_dict() for path in paths)
        for key, value in plain.items():
            torch.testing.assert_close(sharded[key], value, rtol=1e-5, atol=1e-5)
        plain, sharded = (torch.load(path, weights_only=True) for path in paths)
        assert sharded[KEY]["encoder"] == plain[KEY]["encoder"]
        groups = [each["optimizer_states"][0]["param_groups"] for each in (plain, sharded)]
        assert [group["weight_decay"] for group in groups[1]] == [0.05, 0.0]
        sizes = [[len(group["params"]) for group in each] for each in groups]
        assert sizes[0] == sizes[1]


@pytest.mark.slow
def test_what_went_on_goes_on(two):
    """The state of an optimizer comes back from FSDP in other types."""
    assert torch.load(last_checkpoint(two / "again"), weights_only=True)["global_step"] == STEPS + 1


@pytest.mark.slow
def test_one_process_does_not_go_on_where_two_were(killed, folder, capsys):
    path = folder / "killed" / "version_0" / "checkpoints" / "last.ckpt"
    assert main(words("fit", folder / "alone", "--ckpt_path", path)) == 2
    assert "was on 2 processes with 1 batches per step" in capsys.readouterr().err
