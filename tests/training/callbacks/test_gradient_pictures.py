"""Curves as rows of a table, pictures as files."""

import csv

import numpy as np
import pytest
from PIL import Image

from protcontact.training.callbacks import gradient_pictures
from protcontact.training.callbacks.gradient_pictures import COLUMNS, FOLDER, GradientPictures

CURVES = {
    "time/encoder.rnn/log10_costate": [0.0, -0.5, -1.25],
    "lstm/encoder.rnn/f_hist": [0.25, 0.75],
    "lstm/encoder.rnn/i_hist": [0.5, 0.5],
    "lstm/encoder.rnn/o_hist": [1.0, 0.0],
    "dist/curve": [0.0, -1.0],
}


def rms(step):
    return {"first": 1e-3 * (step + 1), "last": 1.0}


def test_curves_are_rows_and_a_second_reading_is_appended(tmp_path):
    pictures = GradientPictures()
    pictures.add(tmp_path, 0, rms(0), CURVES)
    pictures.add(tmp_path, 50, rms(50), {"dist/curve": [0.0, -2.0]})
    with (tmp_path / FOLDER / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 6 + 2 + 2
    assert rows[2] == {
        "step": "0",
        "name": "time/encoder.rnn/log10_costate",
        "place": "2",
        "value": "-1.25",
    }
    assert [row["value"] for row in rows[-2:]] == ["0", "-2"]


def test_every_picture_is_a_file(tmp_path):
    pictures = GradientPictures()
    for step in (0, 50):
        pictures.add(tmp_path, step, rms(step), CURVES)
    images = pictures.draw(tmp_path)
    assert set(images) == {"depth", "time", "distance", "gates"}
    for name, image in images.items():
        np.testing.assert_array_equal(Image.open(tmp_path / FOLDER / f"{name}.png"), image)
        assert image.std() > 0


def test_nothing_measured_nothing_drawn(tmp_path):
    assert GradientPictures().draw(tmp_path) == {}


def test_a_long_run_is_thinned(tmp_path):
    pictures = GradientPictures()
    for step in range(COLUMNS + 1):
        pictures.add(tmp_path, step, rms(step), {})
    steps = [step for step, _ in pictures._profiles]
    assert steps == list(range(0, COLUMNS + 1, 2))
    assert not (tmp_path / FOLDER).exists()


def test_without_matplotlib_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(gradient_pictures.importlib.util, "find_spec", lambda name: None)
    pictures = GradientPictures()
    pictures.add(tmp_path, 0, rms(0), {})
    with pytest.warns(UserWarning, match="pip install matplotlib"):
        assert pictures.draw(tmp_path) == {}
