"""Runs as a training leaves them, written by hand: a folder, and the same as an offline run."""

import json
import math

import yaml

from protcontact.metrics.precision import METRIC_NAMES
from protcontact.metrics.ranges import RANGES
from protcontact.training.score_files import score_files

METRICS = tuple(METRIC_NAMES)
SETTINGS = {
    "seed_everything": 0,
    "model": {
        "encoder": {
            "class_path": "protcontact.models.encoders.recurrent.BiLSTM",
            "init_args": {"channels": 16, "dropout": 0.0},
        },
        "warmup_steps": 10,
    },
    "trainer": {"max_steps": 20, "default_root_dir": "runs/a", "callbacks": [{"class_path": "x"}]},
    "parameters": 1234,
    "data_fingerprint": "d" * 64,
}
CURVES = [
    {"step": 9, "train/loss": 0.5},
    {"step": 19, "train/loss": 0.25, "gradflow/dist/reach_1e-3": 40.0},
    {"step": 20, "cost/steps": 20, "cost/step_seconds": 12.5, "cost/peak_memory": 2_000_000_000},
]


def settings(seed=0, channels=16, **more):
    """Settings of a run as they are logged."""
    made = json.loads(json.dumps(SETTINGS)) | more
    made["seed_everything"] = seed
    made["model"]["encoder"]["init_args"]["channels"] = channels
    return made


def tables(scores, fingerprint="f" * 64, null=0.05, split="val"):
    """Files of a run in which chain `c0`, `c1`, ... has the same score in all columns."""
    columns = [f"{span.name}/{metric}" for span in RANGES for metric in METRICS]
    counts = [f"{span.name}/{what}" for span in RANGES for what in ("candidates", "positives")]
    header = ["id", "length", *counts, *columns, *(f"separation:{name}" for name in columns)]
    lines = ["\t".join(header)]
    for n, score in enumerate(scores):
        words = [f"c{n}", "50", *["9"] * len(counts), *[repr(score)] * len(columns)]
        lines.append("\t".join(words + [repr(null)] * len(columns)))
    defined = [score for score in scores if not math.isnan(score)]
    means = {name: sum(defined) / len(defined) for name in columns}
    about = {"fingerprint": fingerprint, "step": 20}
    texts = ("\n".join(lines) + "\n", json.dumps({"about": about, "model": means}))
    return dict(zip(score_files(split), texts, strict=True))


def write_run(folder, scores, seed=0, channels=16, curves=CURVES, **options):
    """A folder of a run; `options` are those of `tables`."""
    folder.mkdir(parents=True)
    (folder / "hparams.yaml").write_text(yaml.safe_dump(settings(seed, channels)))
    names = list(dict.fromkeys(name for row in curves for name in row))
    lines = [",".join(names)]
    lines += [",".join(str(row.get(name, "")) for name in names) for row in curves]
    (folder / "metrics.csv").write_text("\n".join(lines) + "\n")
    for name, text in tables(scores, **options).items():
        (folder / name).write_text(text)
    return folder


def write_offline(folder, scores, seed=0, channels=16, name="a", **options):
    """The same training as an offline run of wandb, by wandb itself; returns its folder."""
    import wandb

    from protcontact.report.run_wandb import STEP

    folder.mkdir(parents=True, exist_ok=True)
    quiet = wandb.Settings(console="off", silent=True, disable_git=True, x_disable_stats=True)
    run = wandb.init(
        mode="offline", dir=folder, name=name, config=settings(seed, channels), settings=quiet
    )
    for row in CURVES:
        run.log({key: value for key, value in row.items() if key != "step"} | {STEP: row["step"]})
    for file, text in tables(scores, **options).items():
        with open(f"{run.dir}/{file}", "w") as out:
            out.write(text)
    where = run.dir
    run.finish()
    wandb.teardown()  # or it would not look at the environment again, which other tests change
    return type(folder)(where).parent
