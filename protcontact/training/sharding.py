"""How does a model train that one device has no room for?

FSDP2: every parameter, its gradient and its two Adam moments lie in parts on all ranks. A block is
gathered when it is needed and given back after it, so a rank holds one block and its part of the
rest (Rajbhandari et al. 2020, ZeRO stage 3; Zhao et al. 2023). The numbers are those of DDP.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.optim import Optimizer

from protcontact.errors import InputError
from protcontact.models.contract import Encoder

# Gradients are added over ranks in float32: a sum over many ranks would lose what is small. The
# parameters are float32; with bf16-mixed autocast casts them, as without shards.
PRECISION = MixedPrecisionPolicy(reduce_dtype=torch.float32)


class ShardedStrategy(ModelParallelStrategy):
    """Lightning's FSDP2 with the data shared by all processes and checkpoints of one file.

    Lightning itself shares data between nodes only and splits layers within a node, and writes
    checkpoints as folders that one process cannot read.

    Args:
        timeout: How long a rank waits for the others before the job ends.
    """

    def __init__(self, timeout: timedelta = timedelta(minutes=30)) -> None:
        super().__init__(
            data_parallel_size="auto",
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            timeout=timeout,
        )

    def setup_environment(self) -> None:
        """All processes share the data."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Checkpoints are read as those of any strategy."""
        return True

    def load_checkpoint(
        self, checkpoint_path: str | Path, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the file of rank 0's choice; what is in it may come from any strategy."""
        path = self.broadcast(checkpoint_path)
        return self.checkpoint_io.load_checkpoint(path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Hand each rank its parts of the weights."""
        assert self.model is not None
        whole = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self.model, checkpoint["state_dict"], options=whole)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Hand each rank its parts of the moments.

        Lightning takes the numbers of an optimizer's parameters for their places in the model,
        which they are in files of its own FSDP2, and not where vectors have a group of their own.
        Their places in the groups are the same in all files.
        """
        assert self.model is not None
        whole = StateDictOptions(full_state_dict=True)
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            named = name_parameters(self.model, optimizer, state)
            set_optimizer_state_dict(self.model, optimizer, named, options=whole)


def name_parameters(
    model: nn.Module, optimizer: Optimizer, state: Mapping[str, Any]
) -> dict[str, Any]:
    """Name the parameters in the state of an optimizer, which numbers them.

    Args:
        model: Knows the names.
        optimizer: Has the groups of `state`, in the same order.
        state: ``{state, param_groups}`` by number, of `torch.optim.Optimizer.state_dict`.

    Returns:
        The same by name.
    """
    names = {parameter: name for name, parameter in model.named_parameters()}
    numbers: dict[int, str] = {}
    groups = []
    for own, stored in zip(optimizer.param_groups, state["param_groups"], strict=True):
        group_names = [names[parameter] for parameter in own["params"]]
        numbers |= dict(zip(stored["params"], group_names, strict=True))
        groups.append({**stored, "params": group_names})
    moments = {numbers[number]: value for number, value in state["state"].items()}
    return {"state": moments, "param_groups": groups}


def shard(model: nn.Module, mesh: DeviceMesh) -> None:
    """Distribute a model: each block on its own, then what is left as one.

    All ranks go on with the weights of rank 0, as under DDP. What is sharded already is left alone.

    Args:
        model: Is changed in place; its forward pass must be called as a module.
        mesh: ``data_parallel`` and ``tensor_parallel`` ranks.

    Raises:
        InputError: If layers are to be split, a parameter is a single number, or a part is
            compiled.
    """
    if isinstance(model, FSDPModule):
        return
    refuse_compiled(model)
    if mesh["tensor_parallel"].size() > 1:
        raise InputError(
            "no model here splits its layers; set tensor_parallel_size: 1 and data_parallel_size "
            "to the number of processes, or use configs/strategy/fsdp.yaml"
        )
    single = [name for name, parameter in model.named_parameters() if parameter.ndim == 0]
    if single:
        raise InputError(
            f"FSDP cannot distribute single numbers ({', '.join(single)}); "
            "give them the shape (1,), or use --trainer.strategy ddp"
        )
    ranks = mesh["data_parallel"]
    _equal(model, ranks)
    for block in [*blocks(model), [model]]:
        fully_shard(block if len(block) > 1 else block[0], mesh=ranks, mp_policy=PRECISION)


def evaluate_with_versions(trainer: pl.Trainer) -> None:
    """Evaluate under `torch.no_grad`, not in inference mode, as Lightning does under FSDP1.

    Weights that are gathered in inference mode have no versions, and a single rank cannot gather
    them at all. Validation within a training is under `torch.no_grad` anyway.
    """
    for loop in (trainer.validate_loop, trainer.test_loop, trainer.predict_loop):
        loop.inference_mode = False


def refuse_compiled(model: nn.Module) -> None:
    """Refuse a model with a part that is compiled whole: its blocks come and go while it runs.

    Raises:
        InputError: If there is one.
    """
    if any(module._compiled_call_impl is not None for module in model.modules()):
        raise InputError(
            "a compiled encoder or head cannot be distributed in blocks; leave out "
            "--model.compile, or use configs/strategy/ddp.yaml"
        )


def blocks(model: nn.Module) -> Iterator[list[nn.Module]]:
    """Find the outermost elements of module lists: residual blocks, attention layers.

    Yields:
        What is called as a module and gathered at once: a block that has parameters, or its layers
        if the encoder calls those.
    """
    for child in model.children():
        if not isinstance(model, nn.ModuleList) or isinstance(child, nn.ModuleList | nn.ModuleDict):
            found = blocks(child)
            if isinstance(child, Encoder) and child.opens_blocks:
                found = (list(_layers(block)) for [block] in found)
            yield from found
        elif any(True for _ in child.parameters()):
            yield [child]


def _layers(block: nn.Module) -> Iterator[nn.Module]:
    """Find the outermost modules with parameters of their own.

    Yields:
        Each of them.
    """
    if any(True for _ in block.parameters(recurse=False)):
        yield block
    else:
        for child in block.children():
            yield from _layers(child)


@torch.no_grad()
def _equal(model: nn.Module, ranks: DeviceMesh) -> None:
    """Give all ranks the tensors of rank 0, one after the other."""
    for tensor in [*model.parameters(), *model.buffers()]:
        there = tensor.to(ranks.device_type)  # NCCL takes no tensors of the host
        torch.distributed.broadcast(there, src=0, group=ranks.get_group())
        tensor.copy_(there)
