"""Which of these runs is better, and is the difference real?

Runs whose settings agree in all but the seed are trainings of one model, and are joined. Models are
compared on the same chains: chain by chain, the mean over seeds of one less that of the other, with
a bootstrap over chains, widened by what the seeds may have done where any model was trained more
than once (`protcontact.metrics.seed_spread`). Where several models are compared with one, each
interval is made for a higher level, so that all of them together hold with 95 % (Bonferroni): of
ten equal models one would else be called better or worse in a third of all comparisons.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

from protcontact.errors import InputError
from protcontact.metrics.bootstrap import Interval, mean_spread, paired_difference
from protcontact.metrics.seed_spread import SeedSpread, pooled_spread, widened
from protcontact.report.runs import SPLITS, Run
from protcontact.report.suite_scores import Scores
from protcontact.report.suite_tables import COLUMNS, FIRST, mean_of

LEVEL = 0.95  # of all intervals together
REACH = "dist/reach_1e-3"  # what `DistanceProbe` logs, below the names of what it looks at
RANDOM = "random"  # the null that depends on the architecture
BETTER, WORSE, SAME = "better", "worse", "not distinguishable"


@dataclass(frozen=True)
class Model:
    """Trainings of one model.

    Attributes:
        name: Unique among those compared.
        runs: Its trainings; they differ in the seed.
    """

    name: str
    runs: tuple[Run, ...]

    def chains(self, split: str, column: str) -> list[dict[str, float]]:
        """For each training, chain id -> score."""
        return [column_of(run.scored[split].chains, column) for run in self.runs]

    def by_seed(self, split: str, column: str) -> list[float]:
        """Mean over chains for each seed; of several trainings with one seed, theirs together."""
        seeds: dict[Any, list[float]] = {}
        for run in self.runs:
            seed = run.source if run.seed is None else run.seed
            seeds.setdefault(seed, []).append(mean_of(column_of(run.scored[split].chains, column)))
        return [mean_spread(scores)[0] for scores in seeds.values()]

    def score(self, split: str, column: str) -> tuple[float, float]:
        """Mean over trainings and standard deviation over seeds of the mean over chains."""
        trainings = [mean_of(chains) for chains in self.chains(split, column)]
        return mean_spread(trainings)[0], mean_spread(self.by_seed(split, column))[1]

    def logged(self, name: str) -> float:
        """Mean over seeds of the last value of a logged number; NaN where none has it."""
        return mean_spread([run.last(name) for run in self.runs])[0]

    def reach(self) -> float:
        """Mean over seeds of how far the gradient reaches, in residues; NaN if not measured."""
        found = [
            run.last(name) for run in self.runs for name in run.history if name.endswith(REACH)
        ]
        return mean_spread(found)[0]


class Verdict(NamedTuple):
    """A model against the reference.

    Attributes:
        difference: Of the score, model less reference.
        word: `BETTER`, `WORSE` or `SAME`.
    """

    difference: Interval
    word: str


@dataclass(frozen=True)
class Comparison:
    """Several models on the same chains.

    Attributes:
        split: That was scored.
        column: By which they are judged.
        models: The best one first.
        reference: The model that the others are compared with.
        level: Of each interval.
        spread: Of the score over seeds; None where no model was trained more than once.
        nulls: Name -> scores of a null model on the same chains.
        notes: What makes the comparison less than plain.
    """

    split: str
    column: str
    models: tuple[Model, ...]
    reference: Model
    level: float
    spread: SeedSpread | None
    nulls: Mapping[str, Scores]
    notes: tuple[str, ...]

    def verdict(self, model: Model) -> Verdict | None:
        """Compare a model with the reference; None for the reference itself."""
        if model is self.reference:
            return None
        one, other = (each.chains(self.split, self.column) for each in (model, self.reference))
        difference = paired_difference(one, other, self.level)
        if self.spread is not None and not math.isnan(difference.low):
            own, others = (
                len(each.by_seed(self.split, self.column)) for each in (model, self.reference)
            )
            difference = widened(difference, self.spread, own, others, self.level)
        return judged(difference)

    def differences(self) -> dict[str, list[Any]]:
        """Settings in which the models differ -> the value of each, in order; `ABSENT` if none."""
        names = sorted({name for model in self.models for name in model.runs[0].config})
        told = {
            name: [model.runs[0].config.get(name, ABSENT) for model in self.models]
            for name in names
        }
        return {
            name: values for name, values in told.items() if any(v != values[0] for v in values)
        }


ABSENT = "-"


def judged(difference: Interval) -> Verdict:
    """Say what an interval of a difference means; one without ends means nothing."""
    if difference.low > 0:
        return Verdict(difference, BETTER)
    return Verdict(difference, WORSE if difference.high < 0 else SAME)


def column_of(scores: Scores, column: str) -> dict[str, float]:
    """One column of a table of chains: chain id -> score."""
    return {chain: row[column] for chain, row in scores.items()}


def compare(
    runs: Sequence[Run],
    split: str | None = None,
    column: str = FIRST,
    reference: str | None = None,
    each: bool = False,
    force: bool = False,
) -> Comparison:
    """Compare runs.

    Args:
        runs: At least one.
        split: Scores of which split; by default ``test`` where all runs have it, else ``val``.
        column: By which they are judged, as ``long/P@L``.
        reference: Name of the run that the others are compared with; by default the first one.
        each: Whether runs of one model stay apart.
        force: Whether to compare what was scored on different data, on the chains in common.

    Returns:
        The comparison.

    Raises:
        InputError: If a run has no scores, they cannot be compared, or there is no such column or
            reference.
    """
    if column not in COLUMNS:
        raise InputError(f"there is no score {column!r}; there are {', '.join(COLUMNS)}")
    split = _split(runs, split)
    notes = [*_unfinished(runs, split)]
    runs, odd = _comparable(runs, split, force)
    models, whole = _models(runs, each), _models(runs, each=False)
    notes += odd + [note for model in whole for note in _repeated(model)] + _other_data(whole)
    first = _named(models, reference) if reference else _holding(models, runs[0])
    ranked = sorted(models, key=lambda model: _falling(model.score(split, column)[0]))
    others = max(1, len(models) - 1)
    level = 1 - (1 - LEVEL) / others
    spread = pooled_spread([model.by_seed(split, column) for model in whole])
    nulls = _nulls(models, split)
    return Comparison(split, column, tuple(ranked), first, level, spread, nulls, tuple(notes))


def _nulls(models: Sequence[Model], split: str) -> dict[str, Scores]:
    """Scores of the nulls; each model has a random twin of its own, the others are the data's."""
    found: dict[str, Scores] = {}
    for model in models:
        for run in model.runs:
            for name, scores in run.scored[split].nulls.items():
                own = name == RANDOM and len(models) > 1
                found.setdefault(f"{name} {model.name}" if own else name, scores)
    return dict(sorted(found.items(), key=lambda one: one[0].startswith(RANDOM)))


def _falling(score: float) -> tuple[bool, float]:
    return math.isnan(score), -score


def _split(runs: Sequence[Run], wanted: str | None) -> str:
    """Choose the split.

    Raises:
        InputError: If a run was not scored on it.
    """
    choices = [wanted] if wanted else list(SPLITS)
    for split in choices:
        if all(split in run.scored for run in runs):
            return split
    for run in runs:
        if not any(split in run.scored for split in choices):
            raise InputError(
                f"{run.source} has no scores of single chains of the {' or '.join(choices)} split; "
                "`protcontact test --ckpt_path .../best.ckpt` writes those of the test split, a "
                "training those of val at each validation"
            )
    told = "; ".join(f"{run.source}: {', '.join(run.scored)}" for run in runs)
    raise InputError(
        f"the runs were scored on different splits ({told}); score them on the same one with "
        "`protcontact validate` or `protcontact test`"
    )


def _unfinished(runs: Sequence[Run], split: str) -> list[str]:
    so_far = ": its scores are those of its best validation so far" if split == "val" else ""
    return [
        f"{run.name} ({run.source}) has not come to its end{so_far}"
        for run in runs
        if run.trained and not run.finished
    ]


def _comparable(runs: Sequence[Run], split: str, force: bool) -> tuple[list[Run], list[str]]:
    """Refuse runs that were scored on different data, or keep what they have in common.

    Raises:
        InputError: If they were, and it is not forced; or if nothing is in common.
    """
    prints = {run.source: run.scored[split].fingerprint for run in runs}
    chains = [run.scored[split].chains.keys() for run in runs]
    same = len(set(prints.values())) == 1 and None not in prints.values()
    if same and all(keys == chains[0] for keys in chains):
        return list(runs), []
    told = "; ".join(f"{source}: {str(mark)[:12]}" for source, mark in prints.items())
    if same:
        told = "; ".join(f"{run.source}: {len(run.scored[split].chains)} chains" for run in runs)
    if len(runs) == 1:
        return list(runs), []
    if not force:
        raise InputError(
            f"the runs were scored on different data ({told}), and their scores do not stand "
            "side by side; score them on the same, or give --force to compare them on the chains "
            "in common"
        )
    common = set(chains[0]).intersection(*chains)
    if not common:
        raise InputError(f"the runs were scored on different data ({told}) with no chain in common")
    kept = [_restricted(run, split, common) for run in runs]
    return kept, [
        f"FORCED: scored on different data ({told}); {len(common)} chains of the same name are "
        "compared, and may have other labels"
    ]


def _restricted(run: Run, split: str, common: set[str]) -> Run:
    old = run.scored[split]
    new = replace(
        old,
        chains={name: old.chains[name] for name in common},
        nulls={name: {chain: rows[chain] for chain in common} for name, rows in old.nulls.items()},
    )
    return replace(run, scored={**run.scored, split: new})


def _models(runs: Sequence[Run], each: bool) -> list[Model]:
    """Join the runs of one model."""
    groups: list[list[Run]] = []
    for run in runs:
        own = [group for group in groups if not each and _alike(group[0], run)]
        if own:
            own[0].append(run)
        else:
            groups.append([run])
    names = _unique(groups)
    return [Model(name, tuple(group)) for name, group in zip(names, groups, strict=True)]


def _alike(one: Run, other: Run) -> bool:
    """Whether two runs are of one model: the same settings and data, where both name them."""
    data = [run.facts.get("data_fingerprint") for run in (one, other)]
    return one.config == other.config and (None in data or data[0] == data[1])


def _unique(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Names of models; those of one name are told apart by their seeds, or else numbered."""
    plain = [group[0].name for group in groups]
    seeded = [f"{group[0].name} seed {group[0].seed}" for group in groups]
    found = []
    for place, name in enumerate(plain):
        if plain.count(name) == 1:
            found.append(name)
        elif seeded.count(seeded[place]) == 1:
            found.append(seeded[place])
        else:
            found.append(f"{name} #{plain[: place + 1].count(name)}")
    return found


def _repeated(model: Model) -> list[str]:
    seeds = [run.seed for run in model.runs]
    if len(seeds) == len(set(seeds)):
        return []
    return [f"{model.name}: the same seed more than once; trainings with one seed count as one"]


def _other_data(models: Sequence[Model]) -> list[str]:
    """Tell which models differ only in what they were trained on."""
    return [
        f"{one.name} and {other.name} have the same settings, and were trained on other data"
        for one, other in combinations(models, 2)
        if one.runs[0].config == other.runs[0].config
    ]


def _named(models: Sequence[Model], name: str) -> Model:
    """Find the reference.

    Raises:
        InputError: If there is none of that name.
    """
    for model in models:
        if name == model.name or any(name in (run.name, run.source) for run in model.runs):
            return model
    raise InputError(
        f"--reference {name} is none of the runs; they are "
        + ", ".join(model.name for model in models)
    )


def _holding(models: Sequence[Model], run: Run) -> Model:
    return next(model for model in models if run in model.runs)
