"""``protcontact fit-regression`` as a user calls it."""

import copy
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from protcontact.cli import main
from protcontact.commands import fit_regression as verb
from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.models.encoders.esm2 import ALPHABET, ESM2
from protcontact.models.pretrained.file import Pretrained, read_pretrained, write_pretrained
from protcontact.structure.alphabet import LETTERS
from protcontact.training import regression_fit
from protcontact.training.attention_features import chosen_pairs, collect_features
from tests.data.chains import random_chain
from tests.data.real import real_chains
from tests.training.test_regression_fit import lasso

CLUSTERS = 8  # of letters: residues of one cluster are in contact, and no others
PLANTED = (1, 1)  # layer and head that attend from a residue to its cluster
FIRST = 8  # of the 16 angles of a head of 32 channels those from here on turn slowly


def cluster(letter):
    return LETTERS.index(letter) % CLUSTERS


def folded(name, length, seed):
    """A chain whose contacts follow from its letters."""
    chain = random_chain(name, length, seed=seed, unresolved=seed % 3)
    where = np.array([[30.0 * cluster(letter), 0, 0] for letter in chain.sequence])
    noise = np.random.default_rng(seed).normal(scale=0.7, size=(length, 3))
    coordinates = np.where(np.isnan(chain.coordinates), np.nan, where + noise)
    return replace(chain, coordinates=coordinates.astype(np.float32))


def write_data(folder, chains, held_out=5):
    write_store(folder, chains)
    fitted = len(chains) - held_out
    rows = [
        Assignment(c.id, "train" if n < fitted else "val", c.id, len(c))
        for n, c in enumerate(chains)
    ]
    write_assignments(folder / "splits.tsv", rows)
    return folder


def write_model(path, encoder, **source):
    tensors = {k: v for k, v in encoder.state_dict().items() if k != "lm_head.weight"}
    size = {k: v for k, v in encoder.init_args.items() if k != "checkpoint"}
    write_pretrained(path, Pretrained(size, tuple(ALPHABET.all_toks), tensors, source))
    return path


def planted_encoder():
    torch.manual_seed(0)
    encoder = ESM2(channels=64, layers=2, heads=2, regression=False)
    encoder.embed_tokens.weight.data = torch.eye(len(ALPHABET), 64)
    layer, head = PLANTED
    for part in (encoder.layers[0].self_attn.out_proj, encoder.layers[0].fc2):
        torch.nn.init.zeros_(part.weight)  # the layer above sees the letters as they are
        torch.nn.init.zeros_(part.bias)
    for project in ("q_proj", "k_proj"):
        part = getattr(encoder.layers[layer].self_attn, project)
        rows = slice(32 * head, 32 * head + 32)
        part.weight.data[rows] = 0
        part.bias.data[rows] = 0
        for letter in LETTERS[:20]:
            row = 32 * head + FIRST + cluster(letter)
            part.weight.data[row, ALPHABET.get_idx(letter)] = 0.8
    return encoder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    chains = [folded(f"c{n:02d}", 35 + n % 9, n) for n in range(27)]
    return write_data(tmp_path_factory.mktemp("folded"), chains)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    facts = {"library": "fair-esm", "regression": "x.pt", "regression_sha256": "0"}
    return write_model(path, planted_encoder(), **facts)


def fit(model, data, out, *more):
    words = ["fit-regression", "--checkpoint", model, "--data", data, "--out", out, *more]
    return main([str(word) for word in words])


def test_a_planted_head_is_found_and_serves_held_out_chains(model, data, tmp_path, capsys):
    out = tmp_path / "new" / "fitted.safetensors"
    assert fit(model, data, out) == 0
    text = capsys.readouterr().out
    assert "fitting on 20 of 22 chains of the train split; 2 not asked for" in text
    assert "held out: 5 of 5 chains of the val split" in text
    table = re.findall(r"^ +(\d) +(\d) +(-?[\d.e+-]+)$", text, re.MULTILINE)
    assert (int(table[0][0]), int(table[0][1])) == PLANTED
    assert all(abs(float(row[2])) < 0.1 * float(table[0][2]) for row in table[1:])
    encoder = ESM2(checkpoint=str(out))
    assert encoder.has_regression
    weights = encoder.contact_head.regression.weight.view(2, 2)
    assert weights[PLANTED].item() == pytest.approx(float(table[0][2]), rel=1e-3)
    module = ContactDataModule(str(data))
    module.setup("fit")
    scores = verb._scores(
        encoder,
        verb.SeparationPrior.fit(module.whole_chain(row) for row in module.rows("train")),
        [module.whole_chain(row) for row in module.rows("val")],
        "held-out",
    )
    assert scores["regression"]["long/AUPRC"] > 0.95
    assert scores["separation"]["long/AUPRC"] < 0.5


def test_the_file_says_how_it_was_made_and_keeps_the_rest(model, data, tmp_path):
    out = tmp_path / "fitted.safetensors"
    chosen = ["c03", "c05", "c01"]
    options = ("--ids", *chosen, "--C", 2, "--seed", 7, "--min-separation", 4)
    assert fit(model, data, out, *options) == 0
    before, after = read_pretrained(model), read_pretrained(out)
    assert set(after.tensors) - set(before.tensors) == {
        "contact_head.regression.weight",
        "contact_head.regression.bias",
    }
    for name, tensor in before.tensors.items():
        assert torch.equal(tensor, after.tensors[name])
    assert after.architecture == {**before.architecture, "regression": True}
    facts = after.source["regression"]
    assert "regression_sha256" not in after.source  # of the one that was replaced
    assert after.source["library"] == "fair-esm"
    module = ContactDataModule(str(data))
    module.setup("fit")
    rows = {module.store.ids[row]: row for row in module.rows("train")}
    pairs = [chosen_pairs(module.whole_chain(rows[name]), 4) for name in chosen]
    told = {
        "chains": chosen,
        "split": "train",
        "data": module.fingerprint,
        "C": 2.0,
        "seed": 7,
        "min_separation": 4,
        "pairs": sum(map(len, pairs)),
        "contacts": sum(int(part.contact.sum()) for part in pairs),
        "converged": True,
        "scikit-learn": regression_fit.scikit_learn_version(),
    }
    assert {name: facts[name] for name in told} == told
    json.dumps(facts)


def test_streamed_logits_of_the_file_are_those_of_scikit_learn(data, tmp_path):
    torch.manual_seed(0)
    encoder = ESM2(channels=32, layers=3, heads=4).eval()
    for parameter in encoder.parameters():  # maps that are far from even
        parameter.data *= 1.5
    model, out = write_model(tmp_path / "model", encoder), tmp_path / "fitted"
    assert fit(model, data, out, "--C", 100, "--seed", 5, "--chains", 12) == 0
    module = ContactDataModule(str(data))
    module.setup("fit")
    facts = read_pretrained(out).source["regression"]
    rows = {module.store.ids[row]: row for row in module.rows("train")}
    batches = [module.whole_chain(rows[name]) for name in facts["chains"]]
    features, contact = collect_features(encoder, batches, 6, 12)
    twin = lasso(C=100, random_state=5).fit(features, contact)
    assert np.count_nonzero(twin.coef_) > 6
    fitted = ESM2(checkpoint=str(out))
    streamed = []
    for batch in batches:
        pairs = chosen_pairs(batch, 6)
        streamed.append(fitted.contact_logits(batch.tokens, batch.mask)[0, pairs.i, pairs.j])
    wanted = twin.decision_function(features)
    assert wanted.std() > 0.1
    np.testing.assert_allclose(torch.cat(streamed), wanted, rtol=0, atol=1e-5)


def test_half_precision_files_are_fitted_in_float32(data, tmp_path):
    torch.manual_seed(0)
    half = ESM2(channels=32, layers=2, heads=4).bfloat16()
    found = []
    for name, encoder in (("half", half), ("wide", copy.deepcopy(half).float())):
        model = write_model(tmp_path / name, encoder)
        assert fit(model, data, tmp_path / f"{name}-fitted", "--C", 1e4, "--chains", 5) == 0
        found.append(read_pretrained(tmp_path / f"{name}-fitted").tensors)
    first, second = (tensors["contact_head.regression.weight"] for tensors in found)
    assert first.count_nonzero() > 0
    assert torch.equal(first, second)
    assert found[0]["embed_tokens.weight"].dtype == torch.bfloat16


def test_real_chains_and_a_random_model(shared_data, tmp_path, capsys):
    data = write_data(tmp_path / "data", real_chains(shared_data, 24, 200), held_out=3)
    torch.manual_seed(0)
    encoder = ESM2(channels=32, layers=3, heads=4, positions=152)
    model = write_model(tmp_path / "model.safetensors", encoder)
    assert fit(model, data, tmp_path / "fitted.safetensors") == 0
    text = capsys.readouterr().out
    found = re.search(r"fitting on (\d+) of 21 chains.*; (\d+) left out: more than 150", text)
    assert int(found[1]) + int(found[2]) <= 21
    assert int(found[2]) > 0
    _, contacts, share = re.search(r"(\d+) pairs, (\d+) in contact \(([\d.]+)%\)", text).groups()
    assert int(contacts) > 1000
    assert 1 < float(share) < 8
    assert re.search(r"\d+ of 12 heads have a weight", text)
    assert text.count("separation") == 6  # a row beside each of the model's


def test_shorter_chains_and_no_held_out_ones(model, data, tmp_path, capsys):
    out = tmp_path / "fitted.safetensors"
    assert fit(model, data, out, "--max-length", 40, "--split", "val", "--chains", 5) == 0
    text = capsys.readouterr().out
    assert "fitting on 2 of 5 chains of the val split; 3 left out: more than 40 residues" in text
    assert "no held-out chains" in text
    assert read_pretrained(out).source["regression"]["max_length"] == 40


def test_a_fit_without_end_is_a_warning_and_a_status(model, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        verb, "fit_regression", lambda *given: regression_fit.fit_regression(*given, max_iter=1)
    )
    out = tmp_path / "fitted.safetensors"
    assert fit(model, data, out) == 1
    assert "did not converge in 1 steps" in capsys.readouterr().err
    assert read_pretrained(out).source["regression"]["converged"] is False


def test_nothing_to_tell_contacts_by(model, data, tmp_path, capsys):
    assert fit(model, data, tmp_path / "fitted.safetensors", "--C", 1e-6) == 0
    assert "no attention head tells contacts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--chains", 0), "--chains must be at least 1, not 0"),
        (("--min-separation", 0), "--min-separation must be at least 1"),
        (("--max-length", -1), "--max-length must be at least 1"),
        (("--C", 0), "--C must be a positive number"),
        (("--C", "nan"), "--C must be a positive number"),
        (("--seed", -1), "--seed must lie in"),
        (("--ids", "c01", "nobody"), "'nobody'"),
        (("--split", "test"), "test split of"),
        (("--max-length", 5), "22 left out: more than 5 residues"),
        (("--min-separation", 500), "no known pair 500 or more apart"),
    ],
)
def test_refused_in_one_line(options, message, model, data, tmp_path, capsys):
    assert fit(model, data, tmp_path / "fitted.safetensors", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("protcontact fit-regression: error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "fitted.safetensors").exists()


def test_files_that_do_not_fit(model, data, tmp_path, capsys):
    assert fit(model, data, tmp_path) == 2
    assert f"--out {tmp_path} is a folder" in capsys.readouterr().err
    assert fit(tmp_path / "absent", data, tmp_path / "out") == 2
    assert "protcontact import" in capsys.readouterr().err
    assert fit(model, tmp_path / "absent", tmp_path / "out") == 2
    assert "absent" in capsys.readouterr().err


def test_too_little_memory_is_told_before_the_work(model, data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verb, "available_bytes", lambda: 10_000)
    monkeypatch.setattr(verb, "collect_features", None)  # never reached
    assert fit(model, data, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert re.search(r"the features of \d+ pairs in 4 attention maps need .* 1e-05 GB are", error)


def test_without_scikit_learn(model, data, tmp_path, capsys, monkeypatch):
    for name in ("protcontact.commands.fit_regression", "protcontact.training.regression_fit"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert fit(model, data, tmp_path / "out") == 2
    assert "`pip install scikit-learn`" in capsys.readouterr().err
