"""A suite of two configs on six short chains, and a runner that trains nothing."""

import json
import sys
from pathlib import Path

import torch
import yaml

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.metrics.nulls import SeparationPrior
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.checkpoint import FORMAT, KEY, describe
from protcontact.training.module import ContactModule
from tests.data.chains import random_chain

SUITE = {
    "groups": {"encoders": ["one.yaml", "two.yaml"], "heads": ["one.yaml"]},
    "seeds": [0, 1],
    "budget_seconds": 10,
    "measured_steps": 20,
    "reach_chains": 2,
    "fit": {"data": {"crop_size": 40}},
}


class Own(BiLSTM):
    """An encoder of the user, outside the package."""


class Stumbling(BiLSTM):
    """An encoder that fails where it is scored."""

    def forward(self, *given):
        raise RuntimeError("out of memory")


def write_suite(folder, /, **changes):
    """Write a suite with its configs; a key whose value is None is left out."""
    for name in ("one", "two"):
        (folder / f"{name}.yaml").write_text(f"# {name}\n")
    content = {key: value for key, value in (SUITE | changes).items() if value is not None}
    file = folder / "suite.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def write_data(folder):
    """Four chains of the test split, 30 to 66 residues, and two of train."""
    folder.mkdir()
    chains = [random_chain(f"c{n}", 30 + 12 * n, seed=n) for n in range(6)]
    write_store(folder, chains)
    rows = [Assignment(c.id, "test" if n < 4 else "train", c.id, 9) for n, c in enumerate(chains)]
    write_assignments(folder / "splits.tsv", rows)
    return folder


class Pretender:
    """Leaves what `protcontact fit` would: a checkpoint with the weights of a seed, and a cost.

    Attributes:
        calls: ``name/folder`` of each run, in the order in which they came.
    """

    def __init__(self, data, encoder=BiLSTM, head=Bilinear, shown=0, **faults):
        self.encoder, self.head, self.shown = encoder, head, shown
        module = ContactDataModule(str(data))
        module.setup("test")
        self.prior = SeparationPrior.fit(module.whole_chains("train"))
        self.faults, self.calls, self.environments, self.stopped = faults, [], [], False

    def __call__(self, command, log, environment):
        folder = Path(log).parent
        label = f"{folder.parent.name}/{folder.name}"
        self.calls.append(label)
        self.environments.append(dict(environment))
        log.write_text("\n".join(f"line {n}" for n in range(30)) + "\nlast words\n")
        assert command[:4] == [sys.executable, "-m", "protcontact", "fit"]
        assert command[4::2] == ["--config", "--config"]
        given = yaml.safe_load(Path(command[7]).read_text())
        fault = self.faults.get(label.replace("/", "_"))
        if isinstance(fault, BaseException):
            raise fault
        if isinstance(fault, int):
            return fault
        slow = 0.5 if folder.parent.name == "one" else 0.25
        steps = given["trainer"]["max_steps"]
        seed = given["seed_everything"] + (100 if folder.parent.name == "two" else 0)
        module = ContactModule(self.encoder(channels=4, layers=1), self.head)
        own = torch.Generator().manual_seed(seed)  # the global one is that of all threads
        for weight in module.model.parameters():
            weight.data.uniform_(-0.5, 0.5, generator=own)
        if fault == "nan":
            next(module.model.parameters()).data.fill_(float("nan"))
        cost = {"steps": steps, "seconds_per_step": slow, "step_seconds": steps * slow}
        cost |= {"cpu_seconds": 11.0, "wall_seconds": 12.0, "peak_memory": 10**9, "device": "cpu"}
        cost |= {"device_memory": 0, "parameters": 1000}
        if fault != "no cost":
            (folder / "cost.json").write_text(json.dumps(cost))
        self._save(module, folder / "last.ckpt")
        (folder / "version_0").mkdir(exist_ok=True)
        resolved = {"data": {"templates_per_chain": self.shown}}
        (folder / "version_0" / "config.yaml").write_text(yaml.safe_dump(resolved))
        return 0

    def _save(self, module, path):
        about = {"encoder": describe(module.model.encoder), "head": describe(module.model.head)}
        about |= {"format": FORMAT, "prior": self.prior.state_dict()}
        torch.save({KEY: about, "state_dict": module.state_dict(), "global_step": 1}, path)

    def stop(self):
        self.stopped = True
