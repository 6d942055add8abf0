"""Templates are read row by row, and refused where they do not belong."""

import json
import math
import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest

from protcontact.data.store import ChainStore, write_store
from protcontact.data.templates import (
    KEY,
    TEMPLATES,
    Template,
    Templates,
    aligned_template,
    open_templates,
    padded_templates,
)
from protcontact.errors import InputError
from tests.data.chains import random_chain
from tests.data.copying import SPLITS, divide, write, write_eight


@pytest.fixture
def folder(tmp_path):
    """Eight chains in all splits."""
    return write_eight(tmp_path)


def test_the_nearest_are_kept_whole(folder):
    write(folder, per_chain=2, evalue=0.5)
    first, second = Templates(ChainStore(folder))[5]
    assert (first.row, second.row) == (0, 1)
    assert first.evalue == pytest.approx(0.1) and first.identity == pytest.approx(0.25)
    assert first.coverage == pytest.approx(0.8)
    assert first.query_index.tolist() == [0, 1, 2, 3, *range(5, 17)]
    assert first.target_index.tolist() == [2, 3, 4, 5, *range(7, 19)]
    assert len(second.query_index) == 17


def test_reads_after_pickling_and_nothing_is_no_error(folder):
    assert open_templates(ChainStore(folder)) is None
    write(folder)
    reader = open_templates(ChainStore(folder))
    assert len(pickle.loads(pickle.dumps(reader))[4]) == 4
    with pytest.raises(IndexError, match="row 8"):
        reader[8]


def test_refuses_another_split_and_other_chains(folder, tmp_path):
    write(folder)
    divide(folder, ("val", *SPLITS[1:]))
    with pytest.raises(InputError, match="another split; write it again with `protcontact temp"):
        Templates(ChainStore(folder))
    divide(folder, SPLITS)
    assert len(Templates(ChainStore(folder))) == 8
    other = tmp_path / "other"
    write_store(other, [random_chain(f"c{n}", 20 + n, seed=n + 1) for n in range(8)])
    for name in (TEMPLATES, "splits.tsv"):
        (other / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match="was made for other chains"):
        Templates(ChainStore(other))


def rewritten(file, **changes):
    table = pq.read_table(file)
    facts = json.loads(table.schema.metadata[KEY]) | changes
    pq.write_table(table.replace_schema_metadata({KEY: json.dumps(facts)}), file)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-20]), "is damaged"),
        (lambda file: file.write_bytes(b""), "is damaged"),
        (lambda file: pq.write_table(pq.read_table(file).replace_schema_metadata(), file), "dama"),
        (lambda file: rewritten(file, format=2), "has format 2, this protcontact reads format 1"),
        (lambda file: file.unlink(), "does not exist; make it with `protcontact templates"),
    ],
)
def test_refuses_what_is_damaged(folder, damage, reason):
    write(folder)
    damage(folder / TEMPLATES)
    with pytest.raises(InputError, match=reason):
        Templates(ChainStore(folder))


def test_names_a_file_that_is_damaged_in_the_middle(folder):
    write(folder)
    content = bytearray((folder / TEMPLATES).read_bytes())
    content[4:300] = bytes(296)
    (folder / TEMPLATES).write_bytes(content)
    with pytest.raises(InputError, match=r"templates\.parquet is damaged .*; write it again"):
        Templates(ChainStore(folder))[0]


def test_refuses_runs_that_do_not_fit(folder):
    write(folder)
    table = pq.read_table(folder / TEMPLATES)
    place = table.schema.get_field_index("counts")
    pq.write_table(
        table.set_column(place, table.schema.field(place), table["targets"]), folder / TEMPLATES
    )
    with pytest.raises(InputError, match="damaged .*runs instead of"):
        Templates(ChainStore(folder))[4]


def test_a_template_stands_where_it_is_aligned(folder):
    store = ChainStore(folder)
    template = Template(2, 0.5, 0.2, 0.8, np.array([1, 2, 6]), np.array([0, 1, 3]))
    evalue, places = aligned_template(template, store, 8)
    known = store.arrays(2)[1]
    assert evalue == 0.5 and places.shape == (8, 3)
    np.testing.assert_array_equal(places[[1, 2, 6]], known[[0, 1, 3]])
    assert np.isnan(places[[0, 3, 4, 5, 7]]).all()
    padded = padded_templates([[(evalue, places)], [], [(evalue, places[:4])] * 3], 10, 2)
    assert padded.coordinates.shape == (3, 2, 10, 3)
    assert padded.evalues.tolist() == [[0.5, math.inf], [math.inf] * 2, [0.5, 0.5]]
    np.testing.assert_array_equal(padded.coordinates[0, 0, :8].numpy(), places)
    assert padded.coordinates[1].isnan().all() and padded.coordinates[0, 0, 8:].isnan().all()
