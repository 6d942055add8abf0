"""What is to be compared, with how many steps each?

A suite is a YAML file that names configs of ``protcontact fit`` beside it, seeds, and the seconds
of training steps that every run may take. The plan says how many steps that is for each config, as
measured; it is kept in the folder of results, so that all seeds, and a suite that goes on
another day, train for the same number.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from protcontact.atomic import write_text
from protcontact.errors import InputError

PLAN = "plan.json"
TOLERANCE = 0.05  # by which parameters may differ from their median, as a share


@dataclass(frozen=True)
class Suite:
    """What a suite file says.

    Attributes:
        folder: Of the file, where its configs lie.
        groups: Name of a question -> file names of the configs that answer it. A config may be in
            several; it is trained once.
        seeds: Of weights, batches, crops and dropout; one run of each config for each.
        budget_seconds: Of training steps, for every run: of processor time, or on a GPU on the
            clock.
        fit: Further settings of ``protcontact fit`` for all runs, as in its configs.
        measured_steps: Steps by which a config's time per step is measured.
        threads: Of each training process.
        split: That is scored.
        wandb: ``disabled``, ``offline`` or ``online``, as wandb's own WANDB_MODE.
        reach_chains: Chains on which the gradient's reach is measured.
    """

    folder: Path
    groups: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]
    budget_seconds: float
    fit: Mapping[str, Any] = field(default_factory=dict)
    measured_steps: int = 40
    threads: int = 1
    split: str = "test"
    wandb: str = "disabled"
    reach_chains: int = 4

    @property
    def configs(self) -> dict[str, Path]:
        """Name -> file of each config, in the order of the suite."""
        files = [file for group in self.groups.values() for file in group]
        return {Path(file).stem: self.folder / file for file in files}


@dataclass(frozen=True)
class Entry:
    """What is planned for one config.

    Attributes:
        digest: Of the config's text and that of its ``base.yaml``.
        parameters: Trainable numbers.
        seconds_per_step: As measured.
        steps: Of every run.
    """

    digest: str
    parameters: int
    seconds_per_step: float
    steps: int


@dataclass(frozen=True)
class Plan:
    """What all runs of a folder have in common, and what each config does.

    Attributes:
        common: Data, split, budget and settings.
        entries: Name of a config -> its entry.
    """

    common: Mapping[str, Any]
    entries: dict[str, Entry] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        """Write ``plan.json`` into a folder."""
        write_text(out / PLAN, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def read_suite(path: Path) -> Suite:
    """Read a suite file.

    Args:
        path: YAML.

    Returns:
        The suite, whose configs exist.

    Raises:
        InputError: If the file cannot be read, has a key that does not exist or lacks one, or
            a value or a config cannot be used: names it.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"suite {path} cannot be read: {reason}") from error
    fields = [f for f in dataclasses.fields(Suite) if f.name != "folder"]
    names = [f.name for f in fields]
    if not isinstance(content, dict):
        raise InputError(f"suite {path} holds no settings; it may have {', '.join(names)}")
    for key in content:
        if key not in names:
            raise InputError(f"suite {path} has no setting {key!r}; it may have {', '.join(names)}")
    for key in ("groups", "seeds", "budget_seconds"):
        if key not in content:
            raise InputError(f"suite {path} lacks {key!r}; add it")
    _check_values(path, content)
    groups = {str(name): tuple(files) for name, files in content["groups"].items()}
    given = content | {"groups": groups, "seeds": tuple(content["seeds"])}
    suite = Suite(path.parent, **given)
    _check_configs(path, suite)
    return suite


def _check_values(path: Path, content: dict[str, Any]) -> None:
    """Refuse values of a wrong type or outside their range.

    Raises:
        InputError: If there is one.
    """
    groups, seeds = content["groups"], content["seeds"]
    whole = ("measured_steps", "threads", "reach_chains")
    right = {
        "groups": isinstance(groups, dict)
        and bool(groups)
        and all(_is_list(files, str) for files in groups.values()),
        "seeds": _is_list(seeds, int) and len(set(seeds)) == len(seeds) and min(seeds) >= 0,
        "budget_seconds": isinstance(content["budget_seconds"], int | float)
        and 0 < content["budget_seconds"] < math.inf,
        "fit": isinstance(content.get("fit", {}), dict),
        "split": content.get("split", "test") in ("train", "val", "test"),
        "wandb": content.get("wandb", "disabled") in ("disabled", "offline", "online"),
    } | {key: type(content.get(key, 1)) is int and content.get(key, 1) > 0 for key in whole}
    wrong = [key for key, is_right in right.items() if not is_right]
    for key in wrong:
        raise InputError(
            f"suite {path}: {key} cannot be {content.get(key)!r}; groups maps names to lists of "
            "config files, seeds is a list of different numbers from 0 on, fit holds settings of "
            "protcontact fit, split is train, val or test, wandb is disabled, offline or online, "
            "and the others are above 0"
        )


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is kind for item in value)


def _check_configs(path: Path, suite: Suite) -> None:
    """Refuse configs that do not exist or whose results would share a folder.

    Raises:
        InputError: If there is one.
    """
    files: dict[str, str] = {}
    for file in (file for group in suite.groups.values() for file in group):
        name = Path(file).stem
        if files.setdefault(name, file) != file or name in ("base", "null"):
            raise InputError(
                f"suite {path}: {file} would share the folder {name!r} of results; rename it"
            )
        if not (suite.folder / file).is_file():
            raise InputError(f"suite {path} names {file}, which is not beside it")


def digest(config: Path) -> str:
    """Digest of a config and of the ``base.yaml`` that is read before it."""
    text = config.read_bytes()
    places = [folder / "base.yaml" for folder in config.absolute().parents[:2]]
    for base in [place for place in places if place.is_file()][:1]:
        text += b"\0" + base.read_bytes()
    return hashlib.sha256(text).hexdigest()


def open_plan(suite: Suite, fingerprint: str, out: Path) -> Plan:
    """Go on with the plan of a folder, or start one.

    Args:
        suite: What is to be compared.
        fingerprint: Of the data.
        out: Folder of results.

    Returns:
        The plan; configs that were not measured yet have no entry.

    Raises:
        InputError: If the folder holds results of other data, other settings or other configs.
    """
    common = {
        "data": fingerprint,
        "split": suite.split,
        "budget_seconds": suite.budget_seconds,
        "threads": suite.threads,
        "reach_chains": suite.reach_chains,
        "fit": json.loads(json.dumps(suite.fit)),
    }
    file = out / PLAN
    if not file.is_file():
        return Plan(common)
    try:
        old = json.loads(file.read_text(encoding="utf-8"))
        plan = Plan(old["common"], {name: Entry(**e) for name, e in old["entries"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no plan of a suite ({error}); give another --out") from error
    for key, value in common.items():
        if plan.common.get(key) != value:
            raise InputError(
                f"{out} holds a suite with {key} = {plan.common.get(key)}, this one has {value}; "
                "results would not be comparable: give another --out"
            )
    for name, config in suite.configs.items():
        if name in plan.entries and plan.entries[name].digest != digest(config):
            raise InputError(
                f"{config} or its base.yaml has changed since it was planned in {out}; "
                "give another --out, or restore it"
            )
    return plan


def entry(suite: Suite, config: Path, seconds_per_step: float, parameters: int) -> Entry:
    """Plan as many steps of a config as the budget pays for, at least 1."""
    steps = max(1, round(suite.budget_seconds / seconds_per_step))
    return Entry(digest(config), parameters, seconds_per_step, steps)


def odd_parameters(parameters: Mapping[str, int]) -> list[str]:
    """Names of those whose number of parameters is not near the median's: a warning for each."""
    ranked = sorted(parameters.values())
    if not ranked:
        return []
    middle = ranked[len(ranked) // 2]
    return [
        f"{name} has {count:,} parameters, {count / middle - 1:+.0%} of the median {middle:,}: "
        "the comparison is not one at equal size"
        for name, count in parameters.items()
        if abs(count / middle - 1) > TOLERANCE
    ]
