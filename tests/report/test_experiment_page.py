"""The page: well-formed, complete, on its own, and honest about what does not hold."""

import math
from html.parser import HTMLParser

import pytest

from protcontact.gradflow.experiment import Check, Result
from protcontact.gradflow.experiments import ORDER, experiment
from protcontact.report.experiment_page import Section, page

EMPTY = {"meta", "img", "br"}


class Reader(HTMLParser):
    """Collects what stands in a page; fails where tags do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.text = [], [], [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        self.sources += [values["src"]] if "src" in values else []
        assert tag != "img" or values["alt"]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def section(name, error=1e-16):
    result = Result([], [Check("a < b & c", error, 1e-15)], [], f"Of {name} 5 <b>. And 7.")
    return Section(name, experiment(name), result, b"\x89PNG", 3.4)


@pytest.fixture(scope="module")
def names():
    return [name for name in ORDER if name in ("activation", "gates", "ode")]


def test_each_experiment_has_its_section(names):
    read = Reader(page([section(name) for name in names]))
    assert read.ids == names
    inside = [link for link in read.links if link.startswith("#")]
    assert inside == [f"#{name}" for name in names]
    assert set(read.links) - set(inside) == {f"{name}/readings.csv" for name in names}
    assert len(read.sources) == len(names)
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    for name in names:
        kind = experiment(name)
        for text in (kind.title, kind.explanation, kind.formula, kind.source):
            assert text in read.text
        assert f"Of {name} 5 <b>. And 7." in read.text
    assert "a < b & c" in read.text
    assert "does not hold" not in read.text


@pytest.mark.parametrize("error", [1e-14, math.nan])
def test_what_does_not_hold_is_said_twice(names, error):
    read = Reader(page([section(names[0], error)]))
    assert read.text.count("does not hold") == 2
