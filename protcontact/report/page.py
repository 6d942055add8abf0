"""How do runs become one page that opens anywhere? HTML with Bokeh inside; no network.

The controls are those of HTML, so they work by keyboard, on a phone and with a screen reader; the
figures are Bokeh's. What the page shows stands in it as plain data.
"""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bokeh.embed import components
from bokeh.model import Model
from bokeh.resources import Resources

from protcontact import __version__
from protcontact.report.compare import Comparison
from protcontact.report.compare_text import TextTable, sentences, text_tables
from protcontact.report.page_figures import (
    calibration_figure,
    curve_figure,
    distance_figure,
    gradient_figure,
    map_figure,
    separation_figure,
)
from protcontact.report.page_maps import packed
from protcontact.report.page_runs import RunPage

_HERE = Path(__file__).parent
NAMED = 5  # worst and best chains
LONG_RANGE = 24
LOSS = "train/loss"
FITTED = ", which are among those that the temperature was fitted on"
KEY = (
    ("rgb(0,60,120)", "predicted, and in contact"),
    ("rgb(213,94,0)", "predicted, not in contact"),
    ("rgb(150,150,150)", "predicted, unknown"),
    ("rgb(140,140,255)", "below the threshold, the darker the likelier"),
    ("rgb(20,20,20)", "contact (below the diagonal)"),
    ("rgb(226,226,226)", "unknown"),
)


def page(found: Comparison, shown: Sequence[RunPage]) -> str:
    """The page as HTML.

    Args:
        found: The runs side by side.
        shown: The same runs with what is shown of each.
    """
    models, sections = _figures(shown)
    script, divisions = components(models) if models else ("", {})
    data = {"runs": [_plain(one) for one in shown if one.maps]}
    names = [model.name for model in found.models]
    body = [
        _head(found, names),
        _maps(shown, divisions),
        *(f"<section>{_filled(text, divisions)}</section>" for text in sections),
        _settings(shown, found.split),
        f'<p class="note">protcontact {escape(__version__)}</p>',
    ]
    bokeh = Resources(mode="inline", components=["bokeh"]).render_js()
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(', '.join(names))}</title>\n"
        f"<style>\n{_file('page.css')}</style>\n{bokeh}\n"
        "</head>\n<body>\n"
        + "\n".join(body)
        + f'\n<script type="application/json" id="page-data">{text}</script>\n{script}\n'
        f"<script>\n{_file('page.js')}</script>\n</body>\n</html>\n"
    )


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _plain(shown: RunPage) -> dict[str, object]:
    return {"name": shown.run.name, "maps": [packed(one) for one in shown.maps]}


def _figures(shown: Sequence[RunPage]) -> tuple[dict[str, Model], list[str]]:
    """Figures by name, and sections with ``{name}`` where a figure goes."""
    models: dict[str, Model] = {}
    sections = []
    if any(one.maps for one in shown):
        models["map"] = map_figure()
        models["separation"] = separation_figure(shown)
        chains = max(len(one.maps) for one in shown)
        sections.append(
            '<h2 id="separation">Precision by separation</h2>'
            f'<p class="note">Mean over the {chains} chains shown, from the worst to the best, '
            "beside what nulls score on them.</p>{separation}"
        )
    for place, one in enumerate(shown):
        if one.calibration:
            models[f"calibration{place}"] = calibration_figure(one.calibration)
            sections.append(
                f"<h2>Calibration of {escape(one.run.name)}</h2>"
                f'<p class="note">{_temperature(one)} Of the {len(one.maps)} chains shown'
                f"{FITTED if one.split == 'val' else ''}. On the dashed line, a probability comes "
                f"true as often as it says.</p>{{calibration{place}}}"
            )
    for place, one in enumerate(shown):
        figures, text = _training(place, one)
        models |= figures
        sections.append(text)
    return models, sections


def _training(place: int, one: RunPage) -> tuple[dict[str, Model], str]:
    """Gradient and loss over the training, as `_figures`."""
    models: dict[str, Model] = {}
    heat = gradient_figure(one.run.history)
    if heat is not None:
        models[f"gradient{place}"] = heat
    if one.distances:
        models[f"distance{place}"] = distance_figure(one.distances)
    if LOSS in one.run.history:
        models[f"loss{place}"] = curve_figure(LOSS, one.run.history[LOSS])
    told = ""
    if heat is None:
        told = (
            '<p class="note">The gradient was not measured: train with --config '
            "configs/gradflow_light.yaml.</p>"
        )
    places = "".join(f"{{{name}}}" for name in models)
    return models, f"<h2>Training of {escape(one.run.name)}</h2>{told}{places}"


def _filled(text: str, divisions: dict[str, str]) -> str:
    for name, division in divisions.items():
        text = text.replace(f"{{{name}}}", division)
    return text


def _temperature(one: RunPage) -> str:
    if one.temperature is None:
        return "Not calibrated: the checkpoint has no temperature."
    return f"At the temperature of the checkpoint, {one.temperature:.3g}."


def _head(found: Comparison, names: Sequence[str]) -> str:
    tables = "".join(f"<h3>{escape(t.title)}</h3>{_table(t)}" for t in text_tables(found))
    notes = "".join(f"<li>{escape(text)}</li>" for text in sentences(found))
    return (
        f"<header><h1>{escape(', '.join(names))}</h1>\n"
        '<nav><a href="#scores">Scores</a><a href="#maps">Contact maps</a>'
        '<a href="#separation">Separation</a><a href="#settings">Settings</a></nav></header>\n'
        f'<section id="scores"><h2>Scores</h2>{tables}<ul class="note">{notes}</ul></section>'
    )


def _table(table: TextTable, kind: str = "") -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _maps(shown: Sequence[RunPage], divisions: dict[str, str]) -> str:
    """The viewer with its controls."""
    missing = "".join(
        f'<p class="note">No maps of {escape(one.run.name)}: {escape(one.missing)}.</p>'
        for one in shown
        if one.missing
    )
    drawn = [one for one in shown if one.maps]
    if not drawn:
        return f'<section id="maps"><h2>Contact maps</h2>{missing}</section>'
    longest = max(len(shown_map.chain) for one in drawn for shown_map in one.maps)
    options = "".join(
        f'<option value="{n}">{escape(o.run.name)}</option>' for n, o in enumerate(drawn)
    )
    colours = "".join(f'<span style="background:{c}"></span>{escape(t)}' for c, t in KEY)
    return (
        f'<section id="maps"><h2>Contact maps</h2>{missing}'
        '<p class="note">Predicted above the diagonal, true below. Point at a pair, or press the '
        "arrow keys in the map (with Shift ten residues at a time).</p>"
        '<div class="viewer"><div id="map-frame" tabindex="0" role="group" '
        'aria-label="contact map; arrow keys move from pair to pair" aria-describedby="pair">'
        f"{divisions['map']}</div>\n"
        '<div class="controls"><p id="pair" role="status" aria-live="polite">&nbsp;</p>'
        f'<label for="run">Run</label><select id="run">{options}</select>'
        '<label for="chain">Chain, the worst of the first run first</label>'
        '<select id="chain"></select>'
        '<p><button id="previous" type="button">previous</button> '
        '<button id="next" type="button">next</button></p>'
        + _slider("threshold", "Predicted from probability", 0.0, 1.0, 0.01, 0.2)
        + _slider("low", "Separation from", 3, longest - 1, 1, 6)
        + _slider("high", "Separation to", 3, longest - 1, 1, longest - 1)
        + f'<p id="summary" role="status" aria-live="polite"></p><p class="key">{colours}</p>'
        f"</div></div>{''.join(_named(n, one) for n, one in enumerate(drawn))}</section>"
    )


def _slider(name: str, label: str, low: float, high: float, step: float, value: float) -> str:
    return (
        f'<label for="{name}">{label} <output id="{name}-value" for="{name}"></output></label>'
        f'<input type="range" id="{name}" min="{low}" max="{high}" step="{step}" value="{value}">'
    )


def _named(run: int, shown: RunPage) -> str:
    """The worst and the best chains of a run, each a button that shows its map."""
    scores = [one.scores["long P@L"] for one in shown.maps]
    ranked = sorted(range(len(scores)), key=lambda place: (scores[place], place))
    worst = ranked[:NAMED]
    best = [place for place in ranked[::-1][:NAMED] if place not in worst]
    lists = []
    for title, places in (("worst", worst), ("best", best)):
        items = "".join(_button(run, place, shown) for place in places)
        if items:
            lists.append(f"<h3>{escape(shown.run.name)}: {title} chains</h3><p>{items}</p>")
    return "".join(lists)


def _button(run: int, place: int, shown: RunPage) -> str:
    one = shown.maps[place]
    score = one.scores["long P@L"]
    return (
        f'<button type="button" data-run="{run}" data-chain="{place}">{escape(one.chain.id)} '
        f"({len(one.chain)} residues, {score:.2f})</button> "
    )


def _settings(shown: Sequence[RunPage], split: str) -> str:
    names = sorted({name for one in shown for name in one.run.config})
    rows = [(name, *(str(one.run.config.get(name, "")) for one in shown)) for name in names]
    rows.append(("seed", *(str(one.run.seed) for one in shown)))
    marks = (str(one.run.scored[split].fingerprint) for one in shown)
    rows.append((f"fingerprint of the {split} chains, labels and scores", *marks))
    rows.append(("source", *(one.run.source for one in shown)))
    table = TextTable("", ("setting", *(one.run.name for one in shown)), rows)
    return f'<section id="settings"><h2>Settings</h2>{_table(table, "settings")}</section>'
