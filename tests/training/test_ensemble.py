"""Checkpoints become one checkpoint."""

import pytest
import torch

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.metrics.nulls import SeparationPrior
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.attention_maps import AttentionMaps
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.resnet import ResNet
from protcontact.training.checkpoint import FORMAT, KEY, describe, load_model
from protcontact.training.ensemble import join


def save(path, model, trained_on=(1, 2, 3), without=()):
    content = {
        "epoch": 1,
        "global_step": 7,
        "pytorch-lightning_version": "2.6.6",
        "optimizer_states": [{}],
        "state_dict": {f"model.{name}": value for name, value in model.state_dict().items()},
        KEY: {
            "format": FORMAT,
            "encoder": describe(model.encoder),
            "head": describe(model.head),
            "prior": SeparationPrior().state_dict(),
            "trained_on": torch.tensor(trained_on),
            "objective": {"min_separation": 6},
        },
    }
    content["state_dict"]["auxiliary.weight"] = torch.ones(2)  # of training alone
    for name in without:
        (content if name in content else content[KEY]).pop(name)
    torch.save(content, path)
    return path


def models():
    return [
        ContactModel(BiLSTM(channels=3), Bilinear(6, rank=2)).eval(),
        ContactModel(Transformer(channels=8), ResNet(8, channels=4)).eval(),
    ]


def test_the_file_gives_the_mean_of_the_members(tmp_path):
    members = models()
    files = [save(tmp_path / f"{n}.ckpt", model) for n, model in enumerate(members)]
    content = join(files)
    assert "optimizer_states" not in content
    assert content["global_step"] == 7
    torch.save(content, tmp_path / "all.ckpt")
    ensemble = load_model(tmp_path / "all.ckpt")
    tokens = torch.tensor([[3, 1, 4, 1, 5, 9]])
    mask, index = torch.ones(1, 6, dtype=torch.bool), torch.arange(6)[None]
    batch = ContactBatch(tokens, mask, torch.zeros(1, 6, 3), index, torch.tensor([6]), ("a",))
    with torch.no_grad():
        expected = torch.stack([model(batch) for model in members]).mean(dim=0)
        torch.testing.assert_close(ensemble(batch), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(content[KEY]["trained_on"], torch.tensor([1, 2, 3]))


def test_an_ensemble_of_ensembles(tmp_path):
    files = [save(tmp_path / f"{n}.ckpt", model) for n, model in enumerate(models())]
    torch.save(join(files), tmp_path / "two.ckpt")
    content = join([tmp_path / "two.ckpt", files[0]])
    torch.save(content, tmp_path / "three.ckpt")
    assert len(load_model(tmp_path / "three.ckpt").head.members) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained_on": (1, 2, 4)}, "trained on other chains"),
        ({"without": ["prior"]}, "no prior"),
        ({"without": ["global_step"]}, "no global_step"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(tmp_path, change, message):
    one, two = models()
    files = [save(tmp_path / "one.ckpt", one), save(tmp_path / "two.ckpt", two, **change)]
    with pytest.raises(InputError, match=message) as refused:
        join(files)
    assert "two.ckpt" in str(refused.value)


def test_one_checkpoint_is_no_ensemble(tmp_path):
    with pytest.raises(InputError, match="two checkpoints or more"):
        join([save(tmp_path / "one.ckpt", models()[0])])


def test_heads_on_maps_are_refused_by_file(tmp_path):
    reader = ContactModel(Transformer(channels=8), AttentionMaps(8))
    files = [save(tmp_path / "a.ckpt", models()[0]), save(tmp_path / "maps.ckpt", reader)]
    with pytest.raises(InputError, match=r"maps\.ckpt has the head AttentionMaps"):
        join(files)
