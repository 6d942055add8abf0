"""How are scores laid out on a terminal?"""

from rich.table import Table

from protcontact.metrics.ranges import RANGES

SHOWN = {
    "P@L": "P@L",
    "P@L/2": "P@L/2",
    "P@L/5": "P@L/5",
    "R-precision": "R-prec",
    "AUPRC": "AUPRC",
    "ceiling": "max P@L",
}


def score_table(summaries: dict[str, dict[str, float]], title: str) -> Table:
    """Lay out the means over chains, one row per range and model.

    Args:
        summaries: Name of a model -> `ContactScores.summary`.
        title: Printed above, with the number of chains.
    """
    chains = int(next(iter(summaries.values()))["chains"])
    table = Table(title=f"{title}: mean over {chains} chains")
    for column in ("range", "of", *SHOWN.values(), "undef."):
        table.add_column(column, justify="left" if column in ("range", "of") else "right")
    for span in RANGES:
        for name, summary in summaries.items():
            cells = [f"{summary[f'{span.name}/{metric}']:.3f}" for metric in SHOWN]
            undefined = f"{summary[f'{span.name}/undefined']:.0f}"
            table.add_row(span.name, name, *cells, undefined)
        table.add_section()
    return table
