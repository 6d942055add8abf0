"""Templates without a search, for tests of what is done with them."""

import numpy as np

from protcontact.data.alignment import Alignment
from protcontact.data.templates import TemplateOptions, write_templates


class FirstChain:
    """Aligns 25 residues of every chain with those of one training chain."""

    version = "99"

    def align(self, queries, targets, evalue):
        index = np.arange(25)
        for _ in queries:
            yield [Alignment(0, 0.01, 50.0, 0.2, 0.5, index + 2, index)]


def write_first_chain(folder):
    """Write ``templates.parquet``; all chains have 27 residues at least."""
    write_templates(folder, TemplateOptions(), FirstChain())
