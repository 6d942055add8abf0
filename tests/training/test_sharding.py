"""Models in parts on all ranks: here on a single one; on two in test_two_processes.py."""

import pytest
import torch
from pytorch_lightning import Trainer
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from protcontact.batch import ContactBatch
from protcontact.errors import InputError
from protcontact.models.compiled import compile_in_place
from protcontact.models.contract import ContactModel
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.encoders.transformer import Transformer
from protcontact.models.heads.bilinear import Bilinear
from protcontact.models.heads.resnet import ResNet
from protcontact.training.checkpoint import describe
from protcontact.training.random_twin import random_twin
from protcontact.training.sharding import ShardedStrategy, blocks, name_parameters, shard
from tests.models.discovery import ENCODERS, HEADS, MAP_HEADS


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """One rank, which all collectives are made for."""
    meeting = tmp_path_factory.mktemp("meeting") / "file"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=0, world_size=1
    )
    yield init_device_mesh("cpu", (1, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
    torch.distributed.destroy_process_group()


@pytest.fixture
def batch():
    tokens = torch.randint(0, 20, (2, 9), generator=torch.Generator().manual_seed(0))
    return ContactBatch(
        tokens,
        torch.ones(2, 9, dtype=torch.bool),
        torch.zeros(2, 9, 3),
        torch.arange(9).expand(2, 9),
        torch.tensor([9, 9]),
        ("a", "b"),
    )


def models():
    """Every encoder under one head, and every head over one encoder."""
    pairs = [(encoder, Bilinear) for encoder in ENCODERS] + [(BiLSTM, head) for head in HEADS]
    return pairs + [(Transformer, head) for head in MAP_HEADS]


def make(encoder, head):
    torch.manual_seed(0)
    made = encoder()
    return ContactModel(made, head(made.out_channels)).eval()


@pytest.mark.parametrize(("encoder", "head"), models(), ids=lambda kind: kind.__name__)
def test_the_numbers_of_every_model_stay(mesh, batch, encoder, head):
    """Logits and gradients; a block that is not called as a module would have no weights."""
    plain, sharded = make(encoder, head), make(encoder, head)
    shard(sharded, mesh)
    outputs = [model(batch) for model in (plain, sharded)]
    assert torch.equal(*outputs)
    if not outputs[0].requires_grad:
        return
    for output in outputs:
        output.square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), sharded.parameters(), strict=True):
        assert isinstance(other, DTensor)
        if one.grad is not None:
            torch.testing.assert_close(other.grad.full_tensor(), one.grad, msg=name)


def test_blocks_are_the_outermost_elements_of_lists():
    inner = nn.ModuleList([nn.Linear(1, 1)])
    block = nn.Sequential(inner[0])
    lists = nn.ModuleDict({"a": nn.ModuleList([block, nn.ReLU()]), "b": nn.Linear(1, 1)})
    assert list(blocks(nn.Sequential(lists, nn.ModuleList([inner])))) == [[block], [inner[0]]]
    model = ContactModel(Transformer(layers=3), ResNet(Transformer().out_channels, blocks=2))
    assert len(list(blocks(model))) == 5


def test_an_encoder_that_opens_its_blocks_has_their_layers_gathered():
    encoder = ESM2(layers=2)
    groups = list(blocks(ContactModel(encoder, Bilinear(encoder.out_channels))))
    assert len(groups) == 2
    assert len(groups[0]) == 8  # q, k, v, out, two norms, two of the mlp
    assert sum(p.numel() for layer in groups[0] for p in layer.parameters()) == sum(
        p.numel() for p in encoder.layers[0].parameters()
    )


def test_a_second_time_changes_nothing_and_descriptions_stay(mesh):
    model = make(BiLSTM, ResNet)
    before = describe(model.encoder), describe(model.head)
    shard(model, mesh)
    states = [module for module in model.modules() if isinstance(module, FSDPModule)]
    shard(model, mesh)
    assert [module for module in model.modules() if isinstance(module, FSDPModule)] == states
    assert (describe(model.encoder), describe(model.head)) == before
    head = ResNet(4)
    expected = describe(head)
    shard(head, mesh)  # also where the described module is itself sharded
    assert describe(head) == expected


def test_single_numbers_are_refused(mesh):
    model = nn.Linear(1, 1)
    model.scale = nn.Parameter(torch.tensor(1.0))
    with pytest.raises(InputError, match="single numbers .scale."):
        shard(model, mesh)


def test_the_random_twin_is_distributed_as_well(mesh, batch, make_module):
    """And says what it did."""
    module, plain = make_module(), random_twin(make_module().model, 0)
    module.twins = (random_twin(module.model, 0).requires_grad_(False),)
    module._device_mesh, module.trainer = mesh, Trainer(logger=False)
    module.configure_model()
    (twin,) = module.twins
    assert all(isinstance(each, DTensor) for each in twin.parameters())
    for loop in (module.trainer.validate_loop, module.trainer.test_loop):
        assert not loop.inference_mode
    with torch.no_grad():  # in inference mode a single rank could not gather it
        assert torch.equal(module._nulls["random"](batch), plain(batch))


def test_compiled_parts_are_refused(mesh):
    """Their graph would have to break at every block."""
    model = make(Transformer, ResNet)
    compile_in_place(model, backend="eager")
    with pytest.raises(InputError, match="leave out --model.compile"):
        shard(model, mesh)


def test_split_layers_are_refused():
    class Split(dict):
        size = staticmethod(lambda: 2)

    with pytest.raises(InputError, match="no model here splits its layers"):
        shard(nn.Linear(1, 1), {"tensor_parallel": Split()})


@pytest.mark.parametrize("stored", ["groups", "places"])
def test_parameters_are_named_by_their_place_in_the_groups(stored):
    """Numbers count through the groups, or through the model as in files of Lightning's FSDP2."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    matrices, vectors = [model[0].weight, model[1].weight], [model[0].bias, model[1].bias]
    optimizer = torch.optim.AdamW([{"params": matrices}, {"params": vectors, "weight_decay": 0}])
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    if stored == "places":
        place = dict(zip([0, 1, 2, 3], [0, 2, 1, 3], strict=True))
        state["state"] = {place[number]: value for number, value in state["state"].items()}
        for group in state["param_groups"]:
            group["params"] = [place[number] for number in group["params"]]
    named = name_parameters(model, optimizer, state)
    assert [group["params"] for group in named["param_groups"]] == [
        ["0.weight", "1.weight"],
        ["0.bias", "1.bias"],
    ]
    for name, parameter in model.named_parameters():
        assert torch.equal(named["state"][name]["exp_avg"], optimizer.state[parameter]["exp_avg"])


def test_all_processes_share_the_data_and_checkpoints_are_files():
    strategy = ShardedStrategy()
    assert strategy._tensor_parallel_size == 1
    assert strategy._save_distributed_checkpoint is False
    assert strategy.lightning_restore_optimizer
