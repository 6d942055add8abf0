"""What is a run, wherever it was stored?

A training leaves its settings, its curves, and the scores of every chain: in its own folder, in an
offline folder of wandb, or on a wandb server. All three hold the same, so what compares runs does
not ask where they are from. The tables of chains have one format (``val_chains.tsv``).
"""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protcontact.errors import InputError
from protcontact.report.suite_scores import Scores
from protcontact.report.suite_tables import COLUMNS
from protcontact.training.score_files import ABOUT, score_files

SPLITS = ("test", "val")  # which one is compared, if all runs have both
# Settings in which trainings differ that are meant to be the same: places, names, machines, and how
# often something is looked at.
INCIDENTAL = (
    "ckpt_path",
    "config",
    "seed_everything",
    "data.seed",
    "data.path",
    "data.workers",
    "data.eval_pair_budget",
    "trainer.default_root_dir",
    "trainer.logger",
    "trainer.accelerator",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "trainer.plugins",
    "verbose",  # of `protcontact test`
)
SEED = "seed_everything"


@dataclass(frozen=True)
class Scored:
    """Scores of a run on one split.

    Attributes:
        fingerprint: Of chains, labels and definition; None where the run does not say.
        step: Optimizer steps of the weights that were scored.
        chains: Scores of the model.
        nulls: Name -> scores of a null model on the same chains.
    """

    fingerprint: str | None
    step: int | None
    chains: Scores
    nulls: Mapping[str, Scores]


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        name: What tables call it.
        source: Where it was read.
        config: Settings, dotted name -> value, without `INCIDENTAL` ones.
        seed: Of the training; None where it does not say.
        history: Name of a logged number -> its values by step, in order.
        scored: Split -> scores.
        facts: Other things that were noted of it, as the number of weights.
    """

    name: str
    source: str
    config: Mapping[str, Any]
    seed: int | None
    history: Mapping[str, Sequence[tuple[int, float]]]
    scored: Mapping[str, Scored]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def last(self, name: str) -> float:
        """Newest value of a logged number; NaN if there is none."""
        values = self.history.get(name, ())
        return values[-1][1] if values else math.nan

    @property
    def trained(self) -> bool:
        """Whether it is a training, and not a start that only scored a checkpoint."""
        return any(name.startswith("train/") for name in self.history)

    @property
    def finished(self) -> bool:
        """Whether the training came to its end: it notes what it cost, or was at its last step."""
        wanted = self.config.get("trainer.max_steps")
        steps = [step for values in self.history.values() for step, _ in values[-1:]]
        last = max(steps, default=-1) + 1  # the first step is 0
        return "cost/steps" in self.history or (isinstance(wanted, int) and last >= wanted > 0)


def make_run(
    name: str,
    source: str,
    settings: Mapping[str, Any],
    history: Mapping[str, Sequence[tuple[int, float]]],
    files: Mapping[str, str],
) -> Run:
    """Put together what a store of runs holds.

    Args:
        name: What tables call it.
        source: Where it was read; for messages.
        settings: As they were logged: nested settings and facts.
        history: As in `Run`.
        files: Name -> content of its ``*_chains.tsv`` and ``*_scores.json``.

    Returns:
        The run. An `InputError` if a table is damaged.
    """
    facts = {key: settings[key] for key in ("parameters", "data_fingerprint") if key in settings}
    facts["data_path"] = flat(settings).get("data.path")
    config = flat({key: value for key, value in settings.items() if key not in _FACTS})
    seed = config.get(SEED)
    scored = {}
    for split in SPLITS:
        table, means = score_files(split)
        if table in files and means in files:
            scored[split] = read_scored(files[table], files[means], f"{source}: {table}")
    kept = {name: value for name, value in config.items() if not _is_incidental(name)}
    given = seed if isinstance(seed, int) and not isinstance(seed, bool) else None
    return Run(name, source, kept, given, history, scored, facts)


_FACTS = ("parameters", "data_fingerprint", "scored_on", "_wandb", "wandb_version")


def _is_incidental(name: str) -> bool:
    return name.startswith("trainer.callbacks") or any(
        name == one or name.startswith(f"{one}.") for one in INCIDENTAL
    )


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``model.head.init_args.channels`` -> value; lists stay whole.

    Numbers that are equal are the same whatever their type, and a tuple is a list: stores differ in
    what they make of them.
    """
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def read_scored(table: str, means: str, source: str) -> Scored:
    """Read the scores that a run wrote.

    Args:
        table: Content of ``val_chains.tsv``.
        means: Content of ``val_scores.json``.
        source: For messages.

    Raises:
        InputError: If one of them is damaged.
    """
    try:
        about = json.loads(means).get(ABOUT, {})
        mark, step = about.get("fingerprint"), about.get("step")
        rows = list(csv.DictReader(io.StringIO(table), dialect="excel-tab"))
        chains: Scores = {}
        nulls: dict[str, Scores] = {}
        for row in rows:
            chain = row.pop("id")
            own = chains.setdefault(chain, {})
            for column, text in row.items():
                name, colon, rest = column.partition(":")
                if colon:
                    nulls.setdefault(name, {}).setdefault(chain, {})[rest] = float(text)
                else:
                    own[column] = float(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{source} or the means beside it are damaged ({error}); score the checkpoint again "
            "with `protcontact validate` or `protcontact test`"
        ) from error
    if not chains or len(chains) < len(rows):
        raise InputError(
            f"{source} has no chains, or one of them twice; score the checkpoint again"
        )
    absent = {"length", *COLUMNS} - set(next(iter(chains.values())))
    if absent:
        raise InputError(
            f"{source} lacks the column {min(absent)}; score the checkpoint again with "
            "`protcontact validate` or `protcontact test`"
        )
    return Scored(mark, step, chains, nulls)
