"""`protcontact.structure.cif_binary` against biotite's reader, and on damaged content."""

from io import BytesIO

import msgpack
import numpy as np
import pytest
from biotite.structure.io.pdbx import BinaryCIFFile, compress

from protcontact.structure.cif_binary import open_binary
from tests.structure.builders import peptide, to_bcif, to_mmcif

CONTENT = to_bcif(to_mmcif(peptide("MKGAVLST"), sequences={"1": "MKGAVLST"}))


@pytest.mark.parametrize("packed", [False, True])
def test_columns_are_those_of_biotite(packed):
    file = BinaryCIFFile.read(BytesIO(CONTENT))
    if packed:  # run lengths, deltas, packed integers, fixed point
        file = compress(file)
    stream = BytesIO()
    file.write(stream)
    table = open_binary(stream.getvalue())[0].category("atom_site")
    for name, column in file.block["atom_site"].items():
        if name.startswith("Cartn"):
            np.testing.assert_array_equal(table.floats(name), column.as_array(float))
        else:
            expected = [value.strip(".?") for value in column.as_array(str).tolist()]
            if name != "occupancy":
                assert table.strings(name) == expected


def damaged(change):
    document = msgpack.unpackb(CONTENT)
    category = next(c for c in document["dataBlocks"][0]["categories"] if c["name"] == "_atom_site")
    change({column["name"]: column for column in category["columns"]}, category)
    return msgpack.packb(document)


def test_columns_of_wrong_length_are_refused():
    content = damaged(lambda columns, category: category.update(rowCount=category["rowCount"] + 1))
    with pytest.raises(ValueError, match="values for"):
        open_binary(content)[0].category("atom_site").floats("Cartn_x")


def test_a_claim_of_too_many_values_is_refused_before_memory_is_taken():
    def claim(columns, category):
        step = {"kind": "IntegerPacking", "byteCount": 1, "isUnsigned": True, "srcSize": 2**31 - 1}
        columns["Cartn_x"]["data"]["encoding"].insert(0, step)

    with pytest.raises(ValueError, match="claims 2147483647 values"):
        open_binary(damaged(claim))[0].category("atom_site").floats("Cartn_x")


def test_an_index_outside_the_strings_is_refused():
    def point_outside(columns, category):
        data = columns["label_atom_id"]["data"]
        data["data"] = b"\xff\xff\xff\x0f" * category["rowCount"]

    with pytest.raises(ValueError, match="outside its table"):
        open_binary(damaged(point_outside))[0].category("atom_site").text("label_atom_id")


@pytest.mark.parametrize("content", [msgpack.packb({"a": 1}), msgpack.packb({"dataBlocks": 3})])
def test_messagepack_of_something_else_is_refused(content):
    with pytest.raises(ValueError, match="no dataBlocks"):
        open_binary(content)
