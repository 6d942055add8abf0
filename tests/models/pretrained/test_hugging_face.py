"""Folders of transformers: one file or shards; what is missing, damaged or something else."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from protcontact.errors import InputError
from protcontact.models.pretrained.file import write_pretrained
from protcontact.models.pretrained.hugging_face import CONFIG, INDEX, WEIGHTS, read_hugging_face
from protcontact.models.pretrained.loading import load_pretrained
from tests.models.pretrained.foreign import SEQUENCES, hugging_face, tokens_of

OPTIONS = {
    "ESM-2": {"rotary": True},
    "ESM-1b": {"rotary": False, "norm_before": True},
    "ESM-1v": {"rotary": False},
}


@pytest.fixture
def folder(tmp_path):
    hugging_face().save_pretrained(tmp_path / "hf")
    return tmp_path / "hf"


@pytest.mark.parametrize("shards", ["5GB", "20KB"])
@pytest.mark.parametrize("name", OPTIONS)
def test_contacts_are_those_of_transformers(tmp_path, name, shards):
    theirs, ids = hugging_face(**OPTIONS[name]), tokens_of(SEQUENCES)
    theirs.save_pretrained(tmp_path / "hf", max_shard_size=shards)
    assert (tmp_path / "hf" / INDEX).is_file() == (shards == "20KB")
    content = read_hugging_face(tmp_path / "hf")
    write_pretrained(tmp_path / "ours", content)
    ours = load_pretrained(tmp_path / "ours")
    found = ours.contact_logits_of_ids(*ours.ids_of(SEQUENCES)).sigmoid()
    with torch.no_grad():
        truth = theirs.predict_contacts(ids, (ids != 1).long())
    for row, sequence in enumerate(SEQUENCES):
        L = len(sequence)
        torch.testing.assert_close(found[row, :L, :L], truth[row, :L, :L], rtol=0, atol=1e-5)
    assert float(truth[1].std()) > 0.003  # there is something to compare


def test_transformers_is_not_needed(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    assert read_hugging_face(folder).source["library"] == "transformers"


def test_names_of_older_versions(folder):
    """Buffers that are computed, and norms by gamma and beta."""
    tensors = load_file(folder / WEIGHTS)
    tensors = {k.replace("LayerNorm.weight", "LayerNorm.gamma"): v for k, v in tensors.items()}
    tensors["esm.embeddings.position_ids"] = torch.arange(1026)[None]
    tensors["esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"] = torch.ones(4)
    before = read_hugging_face(folder)
    save_file(tensors, folder / WEIGHTS)
    after = read_hugging_face(folder)
    assert before.tensors.keys() == after.tensors.keys()
    assert all(torch.equal(after.tensors[k], v) for k, v in before.tensors.items())


def reconfigured(folder, **changes):
    config = json.loads((folder / CONFIG).read_text()) | changes
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "bert"}, "is a 'bert' model"),
        ({"is_folding_model": True}, "that folds"),
        ({"hidden_size": None}, "lacks or garbles a size"),
        ({"num_hidden_layers": 4}, "missing: layers.3"),
        ({"vocab_list": ["A", "C"]}, "its alphabet is not that of ESM-1b and ESM-2: A C"),
    ],
)
def test_another_model(folder, changes, message):
    reconfigured(folder, **changes)
    with pytest.raises(InputError, match=message):
        read_hugging_face(folder)


def test_another_alphabet_in_a_file(folder):
    (folder / "vocab.txt").write_text("A\nC\nD\n")
    with pytest.raises(InputError, match="its alphabet is not"):
        read_hugging_face(folder)


def test_epsilon_is_that_of_the_config(folder):
    reconfigured(folder, layer_norm_eps=1e-12)
    assert read_hugging_face(folder).architecture["norm_eps"] == 1e-12


def test_missing_and_damaged_files(tmp_path):
    hugging_face().save_pretrained(tmp_path, max_shard_size="20KB")
    index = json.loads((tmp_path / INDEX).read_text())
    shard = sorted(set(index["weight_map"].values()))[1]
    whole = (tmp_path / shard).read_bytes()
    (tmp_path / shard).write_bytes(whole[:100])
    with pytest.raises(InputError, match=f"{shard} cannot be read"):
        read_hugging_face(tmp_path)
    (tmp_path / shard).unlink()
    with pytest.raises(InputError, match=f"{shard} cannot be read"):
        read_hugging_face(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    with pytest.raises(InputError, match="names files outside of the folder"):
        read_hugging_face(tmp_path)
    (tmp_path / INDEX).unlink()
    with pytest.raises(InputError, match="has neither model.safetensors nor .*pickled weights"):
        read_hugging_face(tmp_path)
    (tmp_path / CONFIG).write_text("{")
    with pytest.raises(InputError, match="config.json cannot be read"):
        read_hugging_face(tmp_path)
