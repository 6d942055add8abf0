"""The page as HTML: what it says, and that it needs nothing from anywhere."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from protcontact.report.compare import compare
from protcontact.report.page import page
from protcontact.report.page_maps import ShownMap, unpacked
from protcontact.report.page_runs import SEPARATION, RunPage
from tests.data.chains import random_chain
from tests.report.test_compare import HARD, made


def shown_runs(names=("<b>plain</b>", "other")):
    runs = [made(name, HARD + n / 50, channels=8 + n) for n, name in enumerate(names)]
    pages = []
    for n, run in enumerate(runs):
        maps = [
            ShownMap(random_chain(f"c{k}", 30 + k, seed=k), np.full((30 + k,) * 2, 0.1), scores)
            for k, scores in enumerate([{"long P@L": 0.1 * (k + n)} for k in range(7)])
        ]
        pages.append(RunPage(run, "val", maps, {"model": [(6, 0.1)], SEPARATION: [(6, 0.05)]}))
    return compare(runs, each=True), pages


@pytest.fixture(scope="module")
def html():
    return page(*shown_runs())


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def tags(html):
    parser = Tags()
    parser.feed(html)
    return parser.found


def test_nothing_is_fetched(html):
    for tag, attributes in tags(html):
        assert "src" not in attributes, tag
        assert tag != "link"
        if tag == "a":
            assert attributes["href"].startswith("#")


def test_every_control_has_a_label_and_every_link_a_target(html):
    found = tags(html)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {attributes.get("for") for tag, attributes in found if tag == "label"}
    controls = {a["id"] for tag, a in found if tag in ("input", "select")}
    assert controls == {"run", "chain", "threshold", "low", "high"} <= labelled
    for tag, attributes in found:
        if tag == "a":
            assert attributes["href"][1:] in ids


def test_data_are_whole_and_names_are_escaped(html):
    text = re.search(r'id="page-data">(.*?)</script>', html, flags=re.DOTALL)[1]
    data = json.loads(text)
    assert [run["name"] for run in data["runs"]] == ["<b>plain</b>", "other"]
    predicted, _ = unpacked(data["runs"][1]["maps"][2])
    assert predicted.shape == (32, 32)
    assert predicted[0, 20] == pytest.approx(0.1, abs=0.002)
    assert "<b>plain" not in html.replace("\\u003cb>plain", "")


def test_it_says_what_was_found(html):
    assert "better" in html and "model.encoder.init_args.channels" in html
    assert "f" * 64 in html  # the fingerprint
    buttons = [a for tag, a in tags(html) if tag == "button" and "data-chain" in a]
    assert [int(b["data-chain"]) for b in buttons if b["data-run"] == "0"] == [0, 1, 2, 3, 4, 6, 5]


def test_without_maps_it_says_why():
    found, pages = shown_runs()
    bare = [RunPage(one.run, "val", missing="there is no best.ckpt") for one in pages]
    html = page(found, bare)
    assert html.count("there is no best.ckpt") == 2 and 'id="map-frame"' not in html


def test_a_hundred_chains_stay_below_five_megabytes():
    random = np.random.default_rng(0)
    run = made("a", HARD)
    maps = []
    for n in range(100):  # lengths as they are: 200 on average
        chain = random_chain(f"c{n}", 60 + 3 * n, seed=n)
        size = len(chain)
        # as smooth as a network's map: most pairs are unlikely, none is exactly 0
        values = np.exp(random.normal(-4, 1, (size, size)))
        maps.append(ShownMap(chain, np.minimum(values, 1.0), {"long P@L": 0.1}))
    html = page(compare([run]), [RunPage(run, "val", maps)])
    assert len(html.encode()) < 5e6
