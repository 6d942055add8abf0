"""Compare trainings: two seeds of one model, and another model. What differs, which is better?

    python examples/compare.py DATA [FOLDER [STEPS]]

DATA is a prepared and split data set, such as `example_train/data` of `examples/train.py`.
Takes ten minutes of one core.
"""

# %% Train three times. Runs that differ in the seed alone count as trainings of one model.
import sys
from pathlib import Path

from protcontact.cli import main
from protcontact.report.compare import compare
from protcontact.report.run_sources import read_runs

ROOT = Path(__file__).parents[1]
DATA = Path(sys.argv[1])
OUT = Path(sys.argv[2] if len(sys.argv) > 2 else "example_compare")
STEPS = int(sys.argv[3]) if len(sys.argv) > 3 else 400
TRAININGS = {
    "bilstm_0": ("bilstm", 0),
    "bilstm_1": ("bilstm", 1),
    "transformer": ("transformer", 0),
}

for name, (config, seed) in TRAININGS.items():
    words = ["fit", "--config", ROOT / "configs" / "demo" / f"{config}.yaml"]
    words += ["--data.path", DATA, "--seed_everything", seed]
    words += ["--trainer.max_steps", STEPS, "--trainer.val_check_interval", STEPS]
    words += ["--trainer.default_root_dir", OUT / name]
    if main([str(word) for word in words]) != 0:
        sys.exit(f"the training of {name} failed")

# %% The table of `protcontact compare`: runs of one model are joined
runs = [str(OUT / name) for name in TRAININGS]
if main(["compare", *runs]) != 0:
    sys.exit("not comparable")

# %% The same in Python
found = compare(read_runs(runs))
for model in found.models:
    verdict = found.verdict(model)
    mean, _ = model.score(found.split, found.column)
    told = "the reference" if verdict is None else f"{verdict.word} than {found.reference.name}"
    print(f"{model.name}: {found.column} {mean:.3f}, {len(model.runs)} trainings, {told}")

# %% One page to look at, that opens anywhere
sys.exit(main(["report", *runs, "--out", str(OUT / "page.html"), "--chains", "30"]))
