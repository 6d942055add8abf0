"""The files for SLURM and for wandb sweeps, on stand-ins for both."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from protcontact.commands.base_config import with_base
from protcontact.commands.lightning import ContactCLI
from protcontact.data.datamodule import ContactDataModule
from protcontact.training.module import ContactModule

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "slurm.sh"
SWEEP = yaml.safe_load((ROOT / "scripts" / "sweep.yaml").read_text())


def settings(words):
    """What `protcontact fit` makes of its arguments, or an error; nothing is built."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(ROOT)
        patched.setattr(ContactCLI, "instantiate_classes", lambda cli: None)
        args = with_base([str(word) for word in words])
        return ContactCLI(ContactModule, ContactDataModule, run=False, args=args).config


@pytest.fixture
def cluster(tmp_path):
    """A folder with an `srun` that writes its arguments and waits, and an `scontrol`."""
    work = 'sleep "${SECONDS_OF_WORK:-0}"; exit 7'
    commands = {
        "srun": f'printf "%s\\n" "$@" > {tmp_path}/srun.txt; {work}',
        "scontrol": f'echo "$@" > {tmp_path}/scontrol.txt',
    }
    for name, text in commands.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def start(cluster, *words, **more):
    job = {"SLURM_JOB_ID": "12", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "4"}
    path = {"PATH": f"{cluster}:{os.environ['PATH']}"}
    return subprocess.Popen(
        ["bash", str(SCRIPT), *map(str, words)], env=os.environ | job | path | more, cwd=ROOT
    )


def asked_of_srun(cluster):
    return (cluster / "srun.txt").read_text().splitlines()


def test_slurm_starts_what_fit_understands(cluster):
    """With the run's status as its own, and the nodes and processes that SLURM has given."""
    job = start(cluster, cluster / "run", "--config", "configs/bilstm.yaml")
    assert job.wait(timeout=20) == 7
    flag, program, verb, *words = asked_of_srun(cluster)
    assert (flag, program, verb) == ("--kill-on-bad-exit=1", "protcontact", "fit")
    trainer = settings(words)["trainer"]
    assert (int(trainer["num_nodes"]), int(trainer["devices"])) == (2, 4)
    assert trainer["default_root_dir"] == str(cluster / "run")
    assert "--ckpt_path" not in words


def test_slurm_goes_on_from_the_last_checkpoint(cluster):
    checkpoints = cluster / "run" / "version_3" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "last.ckpt").touch()
    start(cluster, cluster / "run", "--config", "configs/bilstm.yaml").wait(timeout=20)
    assert asked_of_srun(cluster)[-2:] == ["--ckpt_path", "last"]


def test_slurm_queues_the_job_again_when_its_time_is_up(cluster):
    job = start(cluster, cluster / "run", "--config", "x.yaml", SECONDS_OF_WORK="1")
    deadline = time.monotonic() + 20
    while not (cluster / "srun.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(timeout=20) == 7  # it has waited for the run, which goes on until it is ended
    assert (cluster / "scontrol.txt").read_text() == "requeue 12\n"


def test_slurm_without_arguments_explains_itself(cluster):
    assert start(cluster).wait(timeout=20) == 2
    assert not (cluster / "srun.txt").exists()


def test_slurm_asks_for_one_process_per_gpu():
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)", SCRIPT.read_text(), re.MULTILINE))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert options["signal"].startswith("B:USR1@")


@pytest.mark.parametrize("end", [0, -1])
def test_every_choice_of_the_sweep_is_understood(end):
    """As wandb writes it: ``--name=value``, in the place of ``${args}``."""
    chosen = {
        name: spec["values"][end] if "values" in spec else spec[("min", "max")[end]]
        for name, spec in SWEEP["parameters"].items()
    }
    words = [f"--{name}={value}" for name, value in chosen.items()]
    place = SWEEP["command"].index("${args}")
    command = [*SWEEP["command"][:place], *words, *SWEEP["command"][place + 1 :]]
    assert command[:2] == [SWEEP["program"], "fit"]
    model = settings(command[2:])["model"]
    assert model["optimizer"]["init_args"]["lr"] == chosen["model.optimizer.init_args.lr"]
    encoder = yaml.safe_load((ROOT / chosen["config"]).read_text())["model"]["encoder"]
    assert model["encoder"]["class_path"] == encoder["class_path"]
    assert model["encoder"]["init_args"]["dropout"] == chosen["model.encoder.init_args.dropout"]


def test_the_sweep_looks_at_the_validation_split():
    assert SWEEP["metric"] == {"name": "val/long/P@L", "goal": "maximize"}
    assert SWEEP["method"] in ("bayes", "grid", "random")
    assert SWEEP["early_terminate"]["type"] == "hyperband"
