"""How are scores laid out on a terminal?"""

import importlib.util
import sys

from protcontact.metrics.ranges import RANGES

SHOWN = {
    "P@L": "P@L",
    "P@L/2": "P@L/2",
    "P@L/5": "P@L/5",
    "R-precision": "R-prec",
    "AUPRC": "AUPRC",
    "ceiling": "max P@L",
}
HEADER = ("range", "of", *SHOWN.values(), "undef.")
WIDTH = 88  # of the table in a log file


def score_rows(summaries: dict[str, dict[str, float]]) -> list[list[tuple[str, ...]]]:
    """Means over chains as text: a list for each range, in it a row for each model.

    Args:
        summaries: Name of a model -> `ContactScores.summary`.
    """
    return [
        [
            (
                span.name,
                name,
                *(f"{summary[f'{span.name}/{metric}']:.3f}" for metric in SHOWN),
                f"{summary[f'{span.name}/undefined']:.0f}",
            )
            for name, summary in summaries.items()
        ]
        for span in RANGES
    ]


def print_scores(summaries: dict[str, dict[str, float]], title: str) -> None:
    """Print a table of them, drawn by rich where it is installed.

    Args:
        summaries: Name of a model -> `ContactScores.summary`.
        title: Printed above, with the number of chains.
    """
    chains = int(next(iter(summaries.values()))["chains"])
    title = f"{title}: mean over {chains} chain{'' if chains == 1 else 's'}"
    if importlib.util.find_spec("rich") is None:
        print(title)
        for row in (HEADER, *(row for rows in score_rows(summaries) for row in rows)):
            print(f"{row[0]:<8}{row[1]:<14}" + "".join(f"{cell:>9}" for cell in row[2:]))
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title))
    for column in HEADER:
        table.add_column(column, justify="left" if column in ("range", "of") else "right")
    for rows in score_rows(summaries):
        for row in rows:
            table.add_row(*row)
        table.add_section()
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
