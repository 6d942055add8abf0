"""The experiments as one page that is read from top to bottom; no network, no script."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from protcontact import __version__
from protcontact.gradflow.experiment import Check, Experiment, Result

TITLE = "Where does the gradient go?"
INTRODUCTION = (
    "A network learns by sending the gradient of its error backwards, from what it said to each of "
    "the steps that led there. Every step multiplies the gradient by the Jacobian of that step. "
    "After many steps it is a product of many matrices, and such a product vanishes or explodes "
    "unless something holds it: for two residues 1,000 apart a recurrent network multiplies 1,000 "
    "times before the one can learn of the other.",
    "Each section measures one part of this on real modules, and compares it with a closed form or "
    "a slow, obvious calculation: the table under each picture says how far apart the two were in "
    "this run. The last two sections show the same product in the errors of a solver for "
    "differential equations and in optimal control: it is one equation, and one function of the "
    "package computes all of them.",
)
STYLE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 Georgia, serif;
       color: #111; background: #fff; }
h1, h2, nav, table { font-family: system-ui, sans-serif; }
h2 { margin-top: 3rem; }
pre { background: #f3f3f3; padding: .7rem 1rem; overflow-x: auto; font-size: .9rem; }
figure { margin: 1rem 0; } figure img { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #ddd;
         vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.conclusion { border-left: 4px solid #0072b2; padding-left: 1rem; }
.failed { font-weight: bold; color: #a00000; }
.source { color: #555; font-size: .9rem; }
"""


@dataclass(frozen=True)
class Section:
    """An experiment on the page.

    Attributes:
        name: As on the command line.
        kind: Its words.
        result: Its numbers.
        picture: PNG.
        seconds: That it took.
    """

    name: str
    kind: type[Experiment]
    result: Result
    picture: bytes
    seconds: float


def page(sections: Sequence[Section]) -> str:
    """The page as HTML.

    Args:
        sections: In the order in which they are to be read.
    """
    entries = "\n".join(
        f'<li><a href="#{s.name}">{escape(s.kind.title)}</a>{_mark(s.result)}</li>'
        for s in sections
    )
    introduction = "\n".join(f"<p>{escape(text)}</p>" for text in INTRODUCTION)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(TITLE)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(TITLE)}</h1>\n{introduction}\n<nav><ol>\n{entries}\n</ol></nav>\n"
        + "\n".join(map(_section, sections))
        + f'\n<p class="source">protcontact {escape(__version__)}</p>\n</body>\n</html>\n'
    )


def _section(section: Section) -> str:
    kind, result = section.kind, section.result
    image = base64.b64encode(section.picture).decode("ascii")
    return (
        f'<section id="{section.name}">\n<h2>{escape(kind.title)}</h2>\n'
        f"<p>{escape(kind.explanation)}</p>\n<pre>{escape(kind.formula)}</pre>\n"
        f'<figure><img alt="{escape(kind.title)}" src="data:image/png;base64,{image}"></figure>\n'
        f'<p class="conclusion">{escape(result.conclusion)}</p>\n'
        "<table>\n<tr><th>what must be equal</th><th>measured difference</th><th>allowed</th>"
        "<th></th></tr>\n"
        + "\n".join(map(_row, result.checks))
        + f'\n</table>\n<p class="source">{escape(kind.source)}. Numbers: '
        f'<a href="{section.name}/readings.csv">{section.name}/readings.csv</a>. Measured in '
        f"{section.seconds:.0f} s by <code>protcontact gradflow {section.name}</code>.</p>\n"
        "</section>"
    )


def _row(check: Check) -> str:
    verdict = "holds" if check.holds else '<span class="failed">does not hold</span>'
    return (
        f'<tr><td>{escape(check.claim)}</td><td class="number">{check.error:.1e}</td>'
        f'<td class="number">{check.bound:.0e}</td><td>{verdict}</td></tr>'
    )


def _mark(result: Result) -> str:
    return "" if result.holds else ' <span class="failed">(a check does not hold)</span>'
