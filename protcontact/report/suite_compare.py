"""How does a suite become a table? Measure, train, score, tabulate."""

import json
import os
import platform
import re
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from protcontact.atomic import write_text
from protcontact.batch import ContactBatch
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.progress import progress
from protcontact.errors import InputError
from protcontact.gradflow.trained import refuse_broken
from protcontact.metrics.nulls import SeparationPrior
from protcontact.metrics.ranges import SeparationRange
from protcontact.models.contract import ContactModel
from protcontact.report.suite import Plan, Suite, entry, odd_parameters, open_plan
from protcontact.report.suite_files import write_tables
from protcontact.report.suite_runs import (
    MEASURE,
    Failed,
    Run,
    Runner,
    failed,
    newest_config,
    note_of,
    side_by_side,
    train,
)
from protcontact.report.suite_scores import (
    bins_of,
    encoder_reach,
    longest_chains,
    read_scores,
    score_copy,
    score_model,
    score_null,
    write_scores,
)
from protcontact.report.suite_tables import Finished, Tables
from protcontact.training.checkpoint import KEY, load_model, read_checkpoint
from protcontact.training.copied_chains import CopiedChains

NULL, COPY = "null.csv", "copy.csv"


class Compared(NamedTuple):
    """What a suite found.

    Attributes:
        table: As in ``table.md``; a sentence if no run is finished.
        warnings: What makes the comparison less than equal.
        failures: Runs without a result.
        finished: Runs with one; with none there are no tables.
    """

    table: str
    warnings: list[str]
    failures: list[Failed]
    finished: int


@dataclass
class _Subject:
    """What all runs are trained and scored on."""

    suite: Suite
    data: ContactDataModule
    out: Path
    bins: tuple[SeparationRange, ...]
    reach_chains: list[ContactBatch]
    runner: Runner
    planning: threading.Lock = field(default_factory=threading.Lock)
    # one run at a time: measuring switches settings that are those of the whole process
    scoring: threading.Lock = field(default_factory=threading.Lock)

    def measure(self, run: Run, plan: Plan) -> Failed | None:
        """Measure the time of a config's steps and plan their number."""
        cost = train(self.suite, self.data.path, run, self.runner)
        if isinstance(cost, Failed):
            return cost
        seconds = cost["seconds_per_step"]
        if not seconds:
            return failed(run, "no step was timed; raise measured_steps")
        with self.planning:
            plan.entries[run.name] = entry(self.suite, run.config, seconds, cost["parameters"])
            plan.write(self.out)
        return None

    def make(self, run: Run) -> Failed | None:
        """Train and score."""
        cost = train(self.suite, self.data.path, run, self.runner)
        if isinstance(cost, Failed):
            return cost
        if cost["steps"] != run.steps:
            return failed(run, f"it ended after {cost['steps']} of {run.steps} steps")
        checkpoint = run.folder / "last.ckpt"
        try:
            with self.scoring:
                # what was trained here may be built again, of whatever package
                model = load_model(checkpoint, packages(read_checkpoint(checkpoint)[KEY]))
                refuse_broken(model)
                rows = score_model(model, self._shown(run, model), self.bins)
                reach = encoder_reach(model, self.reach_chains)
        except InputError as error:
            return failed(run, str(error))
        except Exception as error:  # of any class of the user's
            with (run.folder / "log.txt").open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            return failed(run, f"{type(error).__name__} where it was scored: {error}")
        write_scores(run.folder / "chains.csv", rows)
        note = {"status": "finished", "reason": "", "config": run.name, "seed": run.seed}
        note |= {"steps": run.steps, "reach": reach, **cost, "machine": machine(cost["device"])}
        note |= {"templates": self.templates_digest() if model.head.looks else None}
        write_text(run.folder / "run.json", json.dumps(note, indent=1) + "\n")
        return None

    def _shown(self, run: Run, model: ContactModel) -> Sequence[ContactBatch]:
        """The chains that are scored, with as many templates as in training where it looks.

        Raises:
            InputError: If the training had none, so that the head has never seen one.
        """
        if not model.head.looks:
            return self.data.whole_chains(self.suite.split)
        own = yaml.safe_load(newest_config(run.folder).read_text(encoding="utf-8"))
        shown = own["data"].get("templates_per_chain", 0)
        if not shown:
            raise InputError(
                f"{type(model.head).__name__} looks at templates, and {run.config.name} shows "
                "none: set data.templates_per_chain there"
            )
        data = ContactDataModule(str(self.data.path), templates_per_chain=shown)
        data.setup("test")
        return data.whole_chains(self.suite.split)

    def templates_digest(self) -> str | None:
        """Of the file of templates; None where the data has none."""
        templates = self.data.templates
        return None if templates is None else sha256(templates.path.read_bytes()).hexdigest()

    def refuse_other_templates(self, runs: Sequence[Run]) -> None:
        """Refuse to set scores with other templates beside those that are here.

        Raises:
            InputError: If a run was scored with others.
        """
        digest = self.templates_digest()
        for run in runs:
            own = note_of(run.folder).get("templates")
            if own is not None and own != digest:
                raise InputError(
                    f"{run.folder} was scored with other templates than {self.data.path} has now; "
                    "results would not be comparable: give another --out, or find the templates "
                    "again as they were found for it"
                )

    def nulls(self, run: Run) -> None:
        """Score the null that a run left in its checkpoint, and what can be copied, once."""
        copied = self.copied()
        missing = [] if (self.out / NULL).is_file() else [NULL]
        if copied is not None and _older(self.out / COPY, copied.templates.path):
            missing.append(COPY)
        if not missing:
            return
        about = read_checkpoint(run.folder / "last.ckpt")[KEY]
        prior = SeparationPrior.from_state_dict(about["prior"])
        batches = self.data.whole_chains(self.suite.split)
        if NULL in missing:
            write_scores(self.out / NULL, score_null(prior, batches, self.bins))
        if copied is not None and COPY in missing:
            write_scores(self.out / COPY, score_copy(copied, prior, batches, self.bins))

    def copied(self) -> CopiedChains | None:
        """What can be copied, where the data has templates."""
        templates = self.data.templates
        return None if templates is None else CopiedChains(self.data.store, templates)


def compare(suite: Suite, data: Path, out: Path, jobs: int, runner: Runner) -> Compared:
    """Make all runs of a suite that are not finished, and write its tables.

    Args:
        suite: What is compared.
        data: A prepared and split data set.
        out: Folder of results, which exists.
        jobs: Runs at a time.
        runner: Runs ``protcontact fit``.

    Returns:
        The table, and what failed. An `InputError` if the folder holds another suite's results, or
        the data cannot be used.
    """
    module = ContactDataModule(str(data))
    module.setup("test")
    plan = open_plan(suite, module.fingerprint, out)
    torch.set_num_threads(suite.threads)
    chains = longest_chains(module, suite.split, suite.reach_chains)
    subject = _Subject(suite, module, out, bins_of(module, suite.split), chains, runner)
    subject.refuse_other_templates(_runs(suite, plan, out))
    unmeasured = [
        Run(name, config, suite.seeds[0], suite.measured_steps, out / name / MEASURE)
        for name, config in suite.configs.items()
        if name not in plan.entries
    ]
    failures = _all(lambda run: subject.measure(run, plan), unmeasured, "measured", jobs, runner)
    runs = _runs(suite, plan, out)
    waiting = [run for run in runs if note_of(run.folder).get("status") != "finished"]
    failures += _all(subject.make, waiting, "runs", jobs, runner)
    finished = [run for run in runs if note_of(run.folder).get("status") == "finished"]
    entries = {name: plan.entries[name] for name in suite.configs if name in plan.entries}
    warnings = odd_parameters({name: one.parameters for name, one in entries.items()})
    if not finished:
        return Compared("no run is finished", warnings, failures, 0)
    subject.nulls(finished[0])
    tables = _tables(suite, plan, subject, runs, finished)
    return Compared(write_tables(tables, out), warnings, failures, len(finished))


def _runs(suite: Suite, plan: Plan, out: Path) -> list[Run]:
    """All runs of the configs that were measured, seed by seed: every config has one soon."""
    return [
        Run(name, config, seed, plan.entries[name].steps, out / name / f"seed_{seed}")
        for seed in suite.seeds
        for name, config in suite.configs.items()
        if name in plan.entries
    ]


def _all(
    work: Callable[[Run], Failed | None], runs: list[Run], what: str, jobs: int, runner: Runner
) -> list[Failed]:
    if not runs:
        return []
    with progress(what, len(runs)) as advance:
        advance(0, runs[0].label)
        return side_by_side(work, runs, jobs, runner, advance)


def _tables(
    suite: Suite, plan: Plan, subject: _Subject, runs: list[Run], finished: list[Run]
) -> Tables:
    return Tables(
        suite=suite,
        plan=plan,
        bins=subject.bins,
        notes=[{"config": run.name, "seed": run.seed, **note_of(run.folder)} for run in runs],
        finished=[
            Finished(run.name, run.seed, note_of(run.folder), read_scores(_chains(run)))
            for run in finished
        ],
        null=read_scores(subject.out / NULL),
        copy=read_scores(subject.out / COPY) if subject.data.templates is not None else None,
    )


def _older(file: Path, source: Path) -> bool:
    """Whether a file is not there, or was made of what the source held before."""
    return not file.is_file() or file.stat().st_mtime < source.stat().st_mtime


def packages(description: Mapping[str, Any]) -> list[str]:
    """Packages of the classes that a checkpoint describes."""
    paths = re.findall(r'"class_path": "(\w+)', json.dumps(description, default=str))
    return sorted({*paths})


def _chains(run: Run) -> Path:
    """Scores of a finished run.

    Raises:
        InputError: If somebody has removed them.
    """
    file = run.folder / "chains.csv"
    if not file.is_file():
        raise InputError(f"{file} is missing; remove {run.folder} to make the run again")
    return file


def machine(device: str) -> dict[str, Any]:
    """Where a run was made: device, processor and version of torch."""
    name = torch.cuda.get_device_name() if device == "cuda" else _processor()
    return {"device_name": name, "cores": os.cpu_count(), "torch": torch.__version__}


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
