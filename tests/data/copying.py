"""Templates without a search, for tests of what is done with them."""

import numpy as np

from protcontact.data.alignment import Alignment
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import ChainStore, write_store
from protcontact.data.template_search import TemplateOptions, write_templates
from protcontact.data.templates import Templates
from tests.data.chains import random_chain

SPLITS = ("train", "train", "train", "train", "val", "test", "excluded", "train")
CLUSTERS = ("k", "k", "b", "c", "v", "t", "x", "d")


class StandIn:
    """Aligns every query with every target; the shorter the target, the nearer.

    Attributes:
        asked: Queries and targets of the last search.
        exhaustive: Whether it was to align every pair.
        homologous: Targets, by length, that are above the threshold for every query.
    """

    version = "99"

    def __init__(self, homologous=()):
        self.asked, self.homologous = ((), ()), homologous

    def align(self, queries, targets, evalue, exhaustive):
        self.exhaustive = exhaustive
        self.asked = (queries, targets)
        for query in queries:
            hits = []
            for place, target in enumerate(targets):
                n = min(len(query), len(target)) - 3
                index = np.delete(np.arange(n), 4)  # a gap, so that there are two runs
                identity = 0.3 if len(target) in self.homologous else 0.25
                e = evalue * len(target) / 100
                hits.append(Alignment(place, e, 50.0, identity, 0.8, index, index + 2))
            yield sorted(hits, key=Alignment.rank)


class FirstChain:
    """Aligns 25 residues of every chain with those of one training chain."""

    version = "99"

    def align(self, queries, targets, evalue, exhaustive):
        index = np.arange(25)
        for _ in queries:
            yield [Alignment(0, 0.01, 50.0, 0.2, 0.5, index + 2, index)]


def write_first_chain(folder):
    """Write ``templates.parquet``; all chains have 27 residues at least."""
    write_templates(folder, TemplateOptions(), FirstChain())


def write_eight(folder):
    """Chains of 20 ... 26 residues; the last has the sequence of the third, in another cluster."""
    chains = [random_chain(f"c{n}", 20 + n, seed=n) for n in range(7)]
    chains.append(random_chain("c7", 22, seed=2))
    write_store(folder, chains)
    divide(folder, SPLITS)
    return folder


def divide(folder, splits):
    rows = [Assignment(f"c{n}", s, CLUSTERS[n], 9) for n, s in enumerate(splits)]
    write_assignments(folder / "splits.tsv", rows)


def write(folder, homologous=(), **options):
    return write_templates(folder, TemplateOptions(**options), StandIn(homologous))


def found(folder):
    reader = Templates(ChainStore(folder))
    return [[template.row for template in reader[row]] for row in range(len(reader))]
