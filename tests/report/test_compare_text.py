"""Comparisons as text."""

import csv
import math

import numpy as np

from protcontact.report.compare import compare
from protcontact.report.compare_text import (
    markdown,
    sentences,
    spread,
    text_tables,
    whole,
    write_comparison,
)
from tests.report.test_compare import HARD, NOISE, made, trio


def cells(table):
    return {row[0]: dict(zip(table.header, row, strict=True)) for row in table.rows}


def test_tables():
    settings, verdicts, scores = text_tables(compare(trio()))
    assert cells(settings) == {
        "model.encoder.init_args.channels": {
            "setting": "model.encoder.init_args.channels",
            "good": "32",
            "plain": "16",
            "like": "64",
        }
    }
    rows = cells(verdicts)
    assert verdicts.title == "200 chains of the val split"
    assert rows["plain"]["verdict"] == "reference" and rows["good"]["verdict"] == "better"
    assert rows["good"]["less plain [97.5 %]"].startswith("+0.0")
    assert rows["good"]["steps"] == "20" and rows["good"]["weights"] == "1,234"
    assert rows["null: separation"]["long/P@L"] == "0.050"
    assert [row[:2] for row in scores.rows][:4] == [
        ("short", "good"),
        *(("short", model.name) for model in compare(trio()).models[1:]),
        ("short", "null: separation"),
    ]


def test_one_run_has_no_settings_that_differ():
    verdicts, scores = text_tables(compare([made("a", HARD)]))
    assert len(verdicts.rows) == 2 and len(scores.rows) == 6


def test_models_that_agree_in_all_settings():
    (settings, *_) = text_tables(compare([made("a", HARD), made("a", HARD, 1)], each=True))
    assert settings.rows == [("(none)", "", "")]


def test_cells():
    assert spread(0.12345, 0.01) == "0.123 ± 0.010" and spread(0.5, math.nan) == "0.500"
    assert spread(math.nan, math.nan) == "" == whole(math.nan) and whole(1234.0) == "1,234"


def test_sentences_say_what_a_verdict_is_about():
    told = " ".join(sentences(compare(trio())))
    assert "all 2 hold together" in told and "every model was trained once" in told
    assert sentences(compare([made("a", HARD)])) == []
    seeds = [made(n, HARD, seed, channels=c) for n, c in (("a", 8), ("b", 9)) for seed in (0, 1)]
    told = " ".join(sentences(compare(seeds)))
    assert "trained once" not in told and "2 degrees of freedom" in told


def test_files(tmp_path):
    found = compare([*trio(), made("plain", HARD + NOISE, seed=1)])
    write_comparison(found, tmp_path / "new")
    text = (tmp_path / "new" / "compare.md").read_text()
    assert text == markdown(found) and "| plain | 2 |" in text
    rows = list(csv.DictReader((tmp_path / "new" / "compare.csv").open()))
    assert [row["model"] for row in rows][-1] == "null: separation"
    good = next(row for row in rows if row["model"] == "good")
    assert float(good["low"]) < float(good["difference"]) < float(good["high"])
    assert good["verdict"] == "better"
    chains = list(csv.DictReader((tmp_path / "new" / "chains.csv").open()))
    assert len(chains) == 4 * 200
    plain = [float(r["long/P@L"]) for r in chains if r["model"] == "plain" and r["seed"] == "1"]
    assert np.isclose(sorted(plain), sorted(HARD + NOISE), atol=0).all()
