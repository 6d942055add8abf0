"""How and when was the structure of an mmCIF file determined?"""

import math
import re

import numpy as np

from protcontact.structure.cif_columns import Block
from protcontact.structure.observed import Header

_RESOLUTION = (
    ("refine", "ls_d_res_high"),
    ("em_3d_reconstruction", "resolution"),
    ("reflns", "d_resolution_high"),
)

# The first revision is the release; the second category is that of files before 2017.
_RELEASE = (("pdbx_audit_revision_history", "revision_date"), ("database_PDB_rev", "date"))
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def read_header(block: Block) -> Header:
    """Read method (``exptl``), resolution and the date of the first release."""
    return Header(_method(block), _resolution(block), _release_date(block))


def _method(block: Block) -> str:
    table = block.category("exptl")
    if table is None or "method" not in table:
        return ""
    return "; ".join(method.upper() for method in table.strings("method") if method)


def _resolution(block: Block) -> float:
    for category, column in _RESOLUTION:
        table = block.category(category)
        if table is not None and column in table:
            values = table.floats(column)
            values = values[np.isfinite(values) & (values > 0)]
            if len(values):
                return float(values[0])
    return math.nan


def _release_date(block: Block) -> str:
    for category, column in _RELEASE:
        table = block.category(category)
        if table is not None and column in table:
            return min(filter(_DATE.fullmatch, table.strings(column)), default="")
    return ""
