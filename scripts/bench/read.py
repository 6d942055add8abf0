"""How many structure files per second, up to the finished contact map?

One process, the same entries for every tool, the median over repeats. The competitors get the
contact map by the same definition (CB, CA for Gly, closer than 8 Angstrom, -1 where a residue has
neither), written with numpy as plainly as it is fast. Every tool reads from disk; files are not
gzipped, for none of the tools is about gzip.

    python scripts/bench/read.py [FOLDER] [--repeats 5] [--limit 50]

FOLDER holds structure files in any of the three formats, named by entry; formats that an entry
lacks are made by biotite in a temporary folder. Without FOLDER: the entries that
``$PROTCONTACT_DATA/nasty`` has in all three formats.
"""

import argparse
import gzip
import importlib.metadata
import os
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import biotite.structure.io.pdb as biotite_pdb
import biotite.structure.io.pdbx as biotite_pdbx
import gemmi
import numpy as np
from Bio.PDB import MMCIFParser, PDBParser
from Bio.PDB.Polypeptide import is_aa

from protcontact.structure.contacts import contact_map
from protcontact.structure.read import entry_name, read_structure

CUTOFF = 8.0
FORMATS = ("bcif", "cif", "pdb")
ROOT = Path(__file__).parents[2]
CATEGORIES = ("entity", "entity_poly", "entity_poly_seq", "struct_asym", "pdbx_poly_seq_scheme",
              "exptl", "refine", "atom_site")  # fmt: skip
NEEDED_BY_BIOPYTHON = {"occupancy": "1.00", "B_iso_or_equiv": "0.00"}
NUMERIC = {
    **dict.fromkeys(("Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv"), float),
    **dict.fromkeys(("label_seq_id", "auth_seq_id", "pdbx_PDB_model_num", "num", "seq_id"), int),
}
Maps = dict[str, tuple[list[str], np.ndarray]]


def labels_of(coordinates: np.ndarray) -> np.ndarray:
    """``(L, 3) -> (L, L)`` int8 by the definition of the package, for the competitors."""
    squared = np.zeros((len(coordinates), len(coordinates)), dtype=np.float32)
    for axis in coordinates.T:
        squared += (axis[:, None] - axis[None, :]) ** 2
    labels = (np.sqrt(squared) < CUTOFF).astype(np.int8)
    unknown = np.isnan(coordinates).any(axis=1)
    labels[unknown] = labels[:, unknown] = -1
    return labels


def by_protcontact(path: Path) -> Maps:
    record = read_structure(path)
    return {chain.chain_id: (list(chain.numbering), contact_map(chain)) for chain in record.chains}


def by_biopython(path: Path) -> Maps:
    parser = MMCIFParser(QUIET=True) if path.suffix == ".cif" else PDBParser(QUIET=True)
    model = next(iter(parser.get_structure("entry", str(path))))
    maps = {}
    for chain in model:
        numbers, rows = [], []
        for residue in chain:
            if not is_aa(residue, standard=False) and "CA" not in residue:
                continue
            atom = "CA" if residue.resname == "GLY" else "CB"
            if atom in residue:
                _, number, insertion = residue.id
                numbers.append(f"{number}{insertion.strip()}")
                rows.append(residue[atom].coord)
        if rows:
            maps[chain.id] = (numbers, labels_of(np.array(rows, dtype=np.float32)))
    return maps


def by_gemmi(path: Path) -> Maps:
    structure = gemmi.read_structure(str(path))
    structure.setup_entities()
    maps = {}
    for chain in structure[0]:
        numbers, rows = [], []
        for residue in chain.get_polymer():
            atom = residue.find_atom("CA" if residue.name == "GLY" else "CB", "*")
            if atom is not None:
                numbers.append(str(residue.seqid))
                rows.append(atom.pos.tolist())
        if rows:
            maps[chain.name] = (numbers, labels_of(np.array(rows, dtype=np.float32)))
    return maps


RUNS: tuple[tuple[str, Callable[[Path], Maps], str], ...] = (
    ("protcontact", by_protcontact, "bcif"),
    ("protcontact", by_protcontact, "cif"),
    ("protcontact", by_protcontact, "pdb"),
    ("gemmi", by_gemmi, "cif"),
    ("gemmi", by_gemmi, "pdb"),
    ("Biopython", by_biopython, "cif"),
    ("Biopython", by_biopython, "pdb"),
)


def find_entries(folder: Path) -> dict[str, dict[str, Path]]:
    """Files by entry and format."""
    entries: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        stem = path.name.removesuffix(".gz")
        suffix = Path(stem).suffix.lstrip(".").replace("ent", "pdb").replace("mmcif", "cif")
        if suffix in FORMATS:
            entries.setdefault(entry_name(path.name), {})[suffix] = path
    return entries


def unpack(files: dict[str, Path], entry: str, folder: Path) -> dict[str, Path]:
    """Copy an entry's files without gzip and make the formats that are absent."""
    ready = {}
    for suffix, path in files.items():
        content = path.read_bytes()
        ready[suffix] = folder / f"{entry}.{suffix}"
        ready[suffix].write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
    for suffix in set(FORMATS) - set(ready):
        ready[suffix] = convert(ready, folder / f"{entry}.{suffix}")
    return ready


def convert(files: dict[str, Path], target: Path) -> Path:
    """Write `target` from one of the other formats of an entry."""
    if target.suffix == ".pdb":
        source = open_cif(files.get("bcif") or files["cif"])
        file = biotite_pdb.PDBFile()
        file.set_structure(biotite_pdbx.get_structure(source, model=1, altloc="first"))
    elif "cif" in files or "bcif" in files:
        source = open_cif(files.get("bcif") or files["cif"])
        file = to_text(source) if target.suffix == ".cif" else to_binary(source)
    else:
        atoms = biotite_pdb.PDBFile.read(str(files["pdb"])).get_structure(model=1, altloc="first")
        text = target.suffix == ".cif"
        file = biotite_pdbx.CIFFile() if text else biotite_pdbx.BinaryCIFFile()
        biotite_pdbx.set_structure(file, atoms)
        for name, value in NEEDED_BY_BIOPYTHON.items():
            column = np.full(len(atoms), value)
            file.block["atom_site"].setdefault(name, column)
        file = file if text else biotite_pdbx.compress(file)
    file.write(str(target))
    return target


def open_cif(path: Path) -> biotite_pdbx.CIFFile | biotite_pdbx.BinaryCIFFile:
    kind = biotite_pdbx.BinaryCIFFile if path.suffix == ".bcif" else biotite_pdbx.CIFFile
    return kind.read(str(path))


def to_text(source: biotite_pdbx.BinaryCIFFile) -> biotite_pdbx.CIFFile:
    """The categories that a reader of chains looks at, as mmCIF."""
    block = biotite_pdbx.CIFBlock()
    for name in set(CATEGORIES) & set(source.block):
        columns = {key: column.as_array(str) for key, column in source.block[name].items()}
        if name == "atom_site":
            rows = len(columns["Cartn_x"])
            fill = {key: np.full(rows, value) for key, value in NEEDED_BY_BIOPYTHON.items()}
            columns = fill | columns
        block[name] = biotite_pdbx.CIFCategory(columns)
    return biotite_pdbx.CIFFile({next(iter(source)): block})


def to_binary(source: biotite_pdbx.CIFFile) -> biotite_pdbx.BinaryCIFFile:
    """The categories that a reader of chains looks at, as BinaryCIF."""
    block = biotite_pdbx.BinaryCIFBlock()
    for name in set(CATEGORIES) & set(source.block):
        columns = {}
        for key, column in source.block[name].items():
            kind = NUMERIC.get(key, str)
            mask = None if column.mask is None else column.mask.array
            data = column.as_array(kind, masked_value="" if kind is str else 0)
            columns[key] = biotite_pdbx.BinaryCIFColumn(data, mask)
        block[name] = biotite_pdbx.BinaryCIFCategory(columns)
    return biotite_pdbx.compress(biotite_pdbx.BinaryCIFFile({next(iter(source)): block}))


def prepare(folder: Path, needed: int, limit: int, target: Path) -> dict[str, dict[str, Path]]:
    """Entries with at least `needed` formats, in all formats, that every tool can read."""
    ready = {}
    found = find_entries(folder)
    for entry, files in found.items():
        if len(files) >= needed and len(ready) < limit:
            try:
                unpacked = unpack(files, entry, target)
                for _, read, suffix in RUNS:
                    read(unpacked[suffix])
                ready[entry] = unpacked
            except Exception as error:  # the tools' refusals of odd files are of many types
                print(f"left out {entry}: {type(error).__name__}: {error}", file=sys.stderr)
    return ready


def measure(entries: dict[str, dict[str, Path]], repeats: int) -> list[float]:
    """Median seconds over all entries for each of `RUNS`, repeats interleaved against drift."""
    seconds: list[list[float]] = [[] for _ in RUNS]
    for repeat in range(repeats + 1):
        for index, (_, read, suffix) in enumerate(RUNS):
            start = time.perf_counter()
            for files in entries.values():
                read(files[suffix])
            if repeat:  # the first round warms file cache and imports
                seconds[index].append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def agreement(reference: Maps, other: Maps) -> tuple[int, int]:
    """Labels of `other` on residues that both know: how many are the same, of how many."""
    same = total = 0
    for chain in reference.keys() & other.keys():
        numbers, labels = reference[chain]
        other_numbers, other_labels = other[chain]
        place = {number: index for index, number in enumerate(other_numbers)}
        common = [(index, place[n]) for index, n in enumerate(numbers) if n in place]
        if not common:
            continue
        rows, columns = map(np.array, zip(*common, strict=True))
        ours, theirs = labels[np.ix_(rows, rows)], other_labels[np.ix_(columns, columns)]
        known = (ours >= 0) & (theirs >= 0)
        same += int((ours == theirs)[known].sum())
        total += int(known.sum())
    return same, total


def machine() -> str:
    """Processor, cores and versions."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":", 1)[1].strip() if lines else model
    versions = " ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("numpy", "biotite", "gemmi", "biopython")
    )
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"


def report(entries: dict[str, dict[str, Path]], seconds: list[float]) -> None:
    rates = [len(entries) / time for time in seconds]
    rate = {(tool, suffix): value for (tool, _, suffix), value in zip(RUNS, rates, strict=True)}
    reference = {entry: by_protcontact(files["bcif"]) for entry, files in entries.items()}
    print(f"{'tool':<14}{'format':<8}{'files/s':>9}{'x Biopython mmCIF':>19}{'x gemmi mmCIF':>15}"
          f"{'same labels':>24}")  # fmt: skip
    for (tool, read, suffix), value in zip(RUNS, rates, strict=True):
        pairs = [agreement(reference[e], read(files[suffix])) for e, files in entries.items()]
        same, total = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
        print(f"{tool:<14}{suffix:<8}{value:>9.1f}{value / rate['Biopython', 'cif']:>19.1f}"
              f"{value / rate['gemmi', 'cif']:>15.2f}{f'{same}/{total}':>24}")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="structure files, named by entry")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=int, default=50, help="entries to read at most")
    args = parser.parse_args()
    default = Path(os.environ.get("PROTCONTACT_DATA", ROOT.parent / "shared" / "data")) / "nasty"
    folder = args.folder or default
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder; name one with structure files")
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        needed = 1 if args.folder else len(FORMATS)
        entries = prepare(folder, needed, args.limit, Path(scratch))
        if not entries:
            parser.error(f"{folder} has no structure files that can be used")
        print(f"{len(entries)} entries: {' '.join(entries)}")
        print(machine())
        report(entries, measure(entries, args.repeats))


if __name__ == "__main__":
    main()
