"""The job: batches, tiles, chains, memory, and going on after an interruption."""

import numpy as np
import pytest
import torch

from protcontact.errors import InputError
from protcontact.models.pretrained.tiling import Mosaic, windows
from protcontact.report import contacts
from protcontact.report.contact_inputs import read_wanted
from protcontact.report.contacts import Options, check_options, predict_contacts
from tests.data.files import random_sequence
from tests.models.pretrained.small import small_model

LENGTHS = (30, 7, 55, 1, 31, 12)


def read(tmp_path, sequences):
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items())
    (tmp_path / "x.fasta").write_text(text)
    wanted, failed = read_wanted([str(tmp_path / "x.fasta")], [], tmp_path)
    assert failed == []
    return wanted


@pytest.fixture
def some(tmp_path):
    return read(tmp_path, {f"s{n}": random_sequence(n, 1) for n in LENGTHS})


@pytest.fixture
def model():
    return small_model()


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def passes(model, monkeypatch):
    """Residues of each chain of each forward pass."""
    seen = []
    forward = model.contact_logits_of_ids

    def watched(ids, mask, index=None):
        seen.append(mask.sum(dim=1).tolist())
        return forward(ids, mask, index)

    monkeypatch.setattr(model, "contact_logits_of_ids", watched)
    return seen


def scores_of(out, name):
    return np.load(out / f"{name}.npz")["scores"]


def expected(model, sequence, index=None):
    """``(L, L)`` probabilities of one sequence alone."""
    ids, mask = model.ids_of([sequence])
    index = None if index is None else torch.as_tensor(index)[None]
    return model.contact_logits_of_ids(ids, mask, index)[0].sigmoid().numpy()


def test_a_batch_is_as_one_by_one(model, some, out, passes):
    rows = predict_contacts(model, some, out, "c", Options(pairs=10**6))
    assert passes == [[55, 31, 30, 12, 7, 1]]
    assert [row.name for row in rows] == [f"s{n}" for n in LENGTHS]
    assert [row.length for row in rows] == list(LENGTHS)
    for item in some:
        found = scores_of(out, item.target.name)
        alone = expected(model, item.target.chain.sequence)
        np.testing.assert_allclose(found, alone, atol=2e-6)
        assert len(found) < 7 or found.std() > 1e-3  # maps of which something can be told


def test_longest_first_and_within_the_budget(model, some, out, passes):
    predict_contacts(model, some, out, "c", Options(pairs=2 * 31**2))
    assert passes == [[55], [31, 30], [12, 7, 1]]
    assert all(len(batch) * max(batch) ** 2 <= 2 * 31**2 for batch in passes[1:])


def test_many_short_inputs_are_no_more_letters_than_a_long_one():
    assert [contacts.at_once(n, 2**22) for n in (1, 50, 256, 1022, 2048, 2049)] == [
        *(2**14, 327, 64, 4, 1, 1)
    ]
    assert contacts.at_once(30, 10**6) == min(10**6 // 900, 2**14 // 30) == 546
    assert contacts.at_once(30, 1) == 1


def test_letters_limit_a_batch(model, some, out, passes, monkeypatch):
    monkeypatch.setattr(contacts, "LETTERS", 62)
    predict_contacts(model, some, out, "c", Options(pairs=10**6))
    assert passes == [[55], [31, 30], [12, 7, 1]]


def test_where_the_free_memory_is_not_told_there_is_no_limit(model, some, out, monkeypatch):
    monkeypatch.setattr(contacts, "available_bytes", lambda: None)
    assert not any(row.problem for row in predict_contacts(model, some, out, "c"))
    monkeypatch.setattr(contacts, "available_bytes", lambda: 10**6)
    assert all(
        "0.001 GB are free" in row.problem
        for row in predict_contacts(model, some, out, "c", Options(overwrite=True))
    )


def test_the_order_of_the_inputs_does_not_matter(model, some, tmp_path):
    for order, folder in ((some, "a"), (some[::-1], "b")):
        (tmp_path / folder).mkdir()
        predict_contacts(model, order, tmp_path / folder, "c", Options(pairs=2000))
    for file in (tmp_path / "a").glob("*.rr"):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
    for item in some:
        name = item.target.name
        both = (scores_of(tmp_path / folder, name) for folder in "ab")
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("lost", ["s30.rr", "s30.npz", "s30.png"])
def test_only_what_is_missing_is_done_again(lost, model, some, out, passes):
    first = predict_contacts(model, some, out, "c")
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / lost).unlink()
    passes.clear()
    second = predict_contacts(model, some, out, "c")
    assert passes == [[30]]
    assert [row.was_there for row in second] == [row.name != "s30" for row in second]
    assert [row.numbers for row in second] == [row.numbers for row in first]
    same = {path.name for path in out.iterdir() if path.stat().st_mtime_ns == times[path.name]}
    assert same == {name for name in times if not name.startswith("s30.")}


def test_a_killed_job_goes_on(model, some, out, passes, monkeypatch):
    write = contacts.write_contacts
    done = []

    def killed(*args):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(args[1].target.name)
        write(*args)

    monkeypatch.setattr(contacts, "write_contacts", killed)
    with pytest.raises(KeyboardInterrupt):
        predict_contacts(model, some, out, "c", Options(pairs=1))
    monkeypatch.setattr(contacts, "write_contacts", write)
    passes.clear()
    rows = predict_contacts(model, some, out, "c", Options(pairs=1))
    assert done == ["s55", "s31", "s30"]
    assert passes == [[12], [7], [1]]
    assert sum(row.was_there for row in rows) == 3


@pytest.mark.parametrize(
    ("checkpoint", "options"),
    [
        ("d", Options()),
        ("c", Options(dtype=torch.bfloat16)),
        ("c", Options(tile=40)),
        ("c", Options(overlap=3)),
        ("c", Options(overwrite=True)),
    ],
)
def test_what_was_made_otherwise_is_done_again(checkpoint, options, model, some, out, passes):
    predict_contacts(model, some, out, "c")
    passes.clear()
    predict_contacts(model, some, out, checkpoint, options)
    assert {min(n, 40) if options.tile else n for n in LENGTHS} == set(sum(passes, []))


def test_what_changes_no_number_does_no_work_again(model, some, out, passes):
    predict_contacts(model, some, out, "c")
    passes.clear()
    predict_contacts(model, some, out, "c", Options(pairs=50, linker=3))  # no complex among them
    assert passes == []


def test_a_tile_of_the_whole_is_the_untiled_prediction(model, tmp_path, out, passes):
    wanted = read(tmp_path, {"a": random_sequence(50, 3)})
    [row] = predict_contacts(model, wanted, out, "c")
    whole = scores_of(out, "a")
    for tile in (50, 51):
        [tiled] = predict_contacts(model, wanted, out, "c", Options(tile=tile))
        np.testing.assert_array_equal(scores_of(out, "a"), whole)
        assert tiled.numbers == row.numbers
    assert passes == 3 * [[50]]
    [row] = predict_contacts(model, wanted, out, "c", Options(tile=49))
    assert row.numbers.tiles == 2


@pytest.mark.parametrize("pairs", [1, 10**6])
def test_tiles_as_the_model_reads_each_window(pairs, model, tmp_path, out):
    sequence = random_sequence(70, 4)
    wanted = read(tmp_path, {"a": sequence})
    [row] = predict_contacts(model, wanted, out, "c", Options(tile=30, overlap=12, pairs=pairs))
    found = scores_of(out, "a")
    mosaic = Mosaic(70)
    tiles = windows(70, 30, 12)
    held = np.zeros((70, 70), dtype=bool)
    for tile in tiles:
        mosaic.add(tile, expected(model, sequence[tile.start : tile.stop]))
        held[tile.start : tile.stop, tile.start : tile.stop] = True
    np.testing.assert_allclose(found, mosaic.joined(), atol=2e-6)
    np.testing.assert_array_equal(np.isnan(found), ~held)
    seam = mosaic.seam()
    assert row.numbers.tiles == len(tiles) == 4
    assert row.numbers.seam_pairs == seam.pairs > 0
    assert row.numbers.seam_mean == pytest.approx(seam.mean, abs=2e-6)
    assert row.numbers.seam_largest == pytest.approx(seam.largest, abs=4e-6)
    assert seam.largest > 1e-3
    listed = [
        tuple(map(int, line.split()[:2])) for line in (out / "a.rr").read_text().splitlines()[8:-1]
    ]
    near = {(i + 1, j + 1) for i in range(70) for j in range(i + 6, 70) if held[i, j]}
    assert set(listed) == near


def test_learned_positions_are_tiled_of_themselves(tmp_path, out):
    model = small_model(positions=34)
    wanted = read(tmp_path, {"long": random_sequence(60, 1), "short": random_sequence(32, 2)})
    long, short = predict_contacts(model, wanted, out, "c")
    assert (long.problem, long.numbers.tiles) == ("", len(windows(60, 32)))
    assert (short.problem, short.numbers.tiles) == ("", 1)
    alone = expected(model, wanted[1].target.chain.sequence)
    np.testing.assert_allclose(scores_of(out, "short"), alone, atol=2e-6)


def zeros(seen):
    def forward(ids, mask, index=None):
        seen.append(mask.sum(dim=1).tolist())
        return torch.zeros(*mask.shape, mask.shape[1])

    return forward


@pytest.mark.parametrize("positions", [0, 1024])
def test_titin_is_refused_before_anything_is_done(positions, tmp_path, out, monkeypatch):
    model, seen = small_model(positions), []
    monkeypatch.setattr(model, "contact_logits_of_ids", zeros(seen))
    titin = random_sequence(30_000, 1)
    wanted = read(tmp_path, {"titin": titin, "small": "ACDEFG", "complex": f"{titin}:ACD"})
    titin, small, both = predict_contacts(model, wanted, out, "c", Options(memory=10**9))
    assert seen == [[6]]
    assert small.problem == ""
    assert titin.numbers is None
    listed = sum(len(tile) ** 2 for tile in windows(30_000, 1022)) // 2
    need = (16 * 30_000**2 + 48 * listed) / 1e9
    assert f"30000 residues need {need:.3g} GB even in windows of 1022" in titin.problem
    assert "1 GB are free" in titin.problem
    assert "domains" in titin.problem
    assert "30028 residues" in both.problem  # with the linker


def test_what_does_not_fit_as_a_whole_is_tiled(model, tmp_path, out, monkeypatch):
    """5,000 residues: 1 GB as a whole, 0.6 GB in windows."""
    seen, written = [], []
    monkeypatch.setattr(model, "contact_logits_of_ids", zeros(seen))
    monkeypatch.setattr(contacts, "write_contacts", lambda *args: written.append(args[2].shape))
    wanted = read(tmp_path, {"a": random_sequence(5000, 1)})
    [row] = predict_contacts(model, wanted, out, "c", Options(memory=8 * 10**8))
    assert row.problem == ""
    assert row.numbers.tiles == sum(map(len, seen)) == len(windows(5000, 1022))
    [row] = predict_contacts(model, wanted, out, "c", Options(memory=2 * 10**9))
    assert (row.numbers.tiles, seen[-1]) == (1, [5000])
    assert written == 2 * [(5000, 5000)]


def test_a_letter_of_which_the_model_knows_nothing(model, tmp_path, out):
    wanted = read(tmp_path, {"leucine": "ACJD", "rare": "ACBUZOXD"})
    bad, good = predict_contacts(model, wanted, out, "c")
    assert "lacks: J" in bad.problem
    assert bad.numbers is None
    assert good.problem == ""
    np.testing.assert_allclose(scores_of(out, "rare"), expected(model, "ACBUZOXD"), atol=1e-6)


def test_a_linker_is_read_and_cut(model, tmp_path, out):
    one, two, three = (random_sequence(n, 5) for n in (20, 13, 8))
    wanted = read(tmp_path, {"a": f"{one}:{two}:{three}"})
    [row] = predict_contacts(model, wanted, out, "c", Options(linker=4))
    whole = expected(model, f"{one}GGGG{two}GGGG{three}")
    kept = [*range(20), *range(24, 37), *range(41, 49)]
    found = scores_of(out, "a")
    np.testing.assert_allclose(found, whole[np.ix_(kept, kept)], atol=2e-6)
    assert (row.length, row.chains) == (41, 3)
    owner = 20 * [0] + 13 * [1] + 8 * [2]
    apart = [(i, j) for i in range(41) for j in range(i, 41) if owner[i] != owner[j]]
    best = sorted((found[pair] for pair in apart), reverse=True)
    assert row.numbers.inter_top_l == pytest.approx(np.mean(best[:8]), rel=1e-6)


def test_a_gap_is_an_index_that_jumps(model, tmp_path, out):
    one, two = random_sequence(20, 6), random_sequence(13, 6)
    wanted = read(tmp_path, {"a": f"{one}:{two}"})
    predict_contacts(model, wanted, out, "c", Options(linker=0, gap=200))
    index = [*range(20), *range(220, 233)]
    found = scores_of(out, "a")
    np.testing.assert_allclose(found, expected(model, one + two, index), atol=2e-6)
    assert np.abs(found - expected(model, one + two)).max() > 1e-3  # the gap matters


def test_windows_of_a_complex_keep_letters_and_places(model, tmp_path, out):
    one, two = random_sequence(20, 6), random_sequence(25, 7)
    wanted = read(tmp_path, {"a": f"{one}:{two}"})
    predict_contacts(model, wanted, out, "c", Options(linker=0, gap=50, tile=30))
    index = np.array([*range(20), *range(70, 95)])
    mosaic = Mosaic(45)
    for tile in windows(45, 30):
        part = slice(tile.start, tile.stop)
        mosaic.add(tile, expected(model, (one + two)[part], index[part]))
    np.testing.assert_allclose(scores_of(out, "a"), mosaic.joined(), atol=2e-6)


def test_a_full_memory_is_met_one_by_one(model, some, out, monkeypatch):
    forward, seen = model.contact_logits_of_ids, []

    def tight(ids, mask, index=None):
        seen.append(len(mask))
        if len(mask) > 1 or mask.sum() > 40:
            raise torch.OutOfMemoryError("full")
        return forward(ids, mask, index)

    monkeypatch.setattr(model, "contact_logits_of_ids", tight)
    rows = predict_contacts(model, some, out, "c")
    assert seen == [6, 1, 1, 1, 1, 1, 1]
    [problem] = [row for row in rows if row.problem]
    assert problem.name == "s55"
    assert "55 residues at once do not fit into the memory of cpu" in problem.problem
    assert "--tile 27" in problem.problem


def test_writing_that_exhausts_the_memory_ends_one_input(model, some, out, monkeypatch):
    write = contacts.write_contacts

    def tight(*args):
        if args[1].target.name == "s31":
            raise MemoryError
        write(*args)

    monkeypatch.setattr(contacts, "write_contacts", tight)
    rows = predict_contacts(model, some, out, "c")
    assert [row.name for row in rows if row.problem] == ["s31"]


def test_other_failures_of_the_model_are_not_hidden(model, some, out, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes disagree")

    monkeypatch.setattr(model, "contact_logits_of_ids", broken)
    with pytest.raises(RuntimeError, match="shapes disagree"):
        predict_contacts(model, some, out, "c")


@pytest.mark.parametrize("options", [Options(), Options(tile=20)])
def test_numbers_that_are_none_are_a_problem(options, model, some, out, monkeypatch):
    forward = model.contact_logits_of_ids

    def overflowing(ids, mask, index=None):
        logits = forward(ids, mask, index)
        logits[mask.sum(dim=1) >= 20, 2, 3] = np.nan
        return logits

    monkeypatch.setattr(model, "contact_logits_of_ids", overflowing)
    rows = predict_contacts(model, some, out, "c", options)
    assert [row.name for row in rows if "NaN in torch.float32" in row.problem] == [
        "s30",
        "s55",
        "s31",
    ]


@pytest.mark.parametrize(("dtype", "near"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_is_in_the_products_alone(dtype, near, model, tmp_path, out):
    wanted = read(tmp_path, {"a": random_sequence(60, 8)})
    predict_contacts(model, wanted, out, "c", Options(dtype=dtype))
    apart = np.abs(scores_of(out, "a") - expected(model, wanted[0].target.chain.sequence))
    assert 0 < apart.max() < near
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("positions", "regression", "options", "message"),
    [
        (0, False, Options(), "no contact regression"),
        (34, True, Options(tile=33), "--tile 32 or less"),
        (34, True, Options(gap=5, linker=0), "rotary"),
        (34, True, Options(overlap=32), "below the window of 32"),
        (0, True, Options(overlap=1022), "below the window of 1022"),
        (0, True, Options(tile=20, overlap=20), "below the window of 20"),
    ],
)
def test_options_that_cannot_work_are_refused(positions, regression, options, message):
    model = small_model(positions, regression)
    with pytest.raises(InputError, match=message):
        check_options(model, options)


def test_options_that_can_work_are_not():
    check_options(small_model(34), Options(tile=32, overlap=31))
    check_options(small_model(), Options(tile=5000, gap=200, linker=0))
