"""The formula by hand, and against what torch allocates."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from protcontact.models.attention_sum import CACHED
from protcontact.models.pretrained.contact_memory import contact_bytes, writing_bytes
from protcontact.models.pretrained.tiling import Window, windows
from tests.models.pretrained.small import small_model


def test_the_formula_by_hand():
    model = small_model()  # C = 16, A = 4
    floats = 7 * 100**2 + 16 * 100 * 16 + 2 * 4 * 100
    assert contact_bytes(model, 100) == 4 * floats + 8 * CACHED
    weights = sum(weight.numel() for weight in model.parameters())
    half = contact_bytes(model, 100, torch.bfloat16)
    assert half == contact_bytes(model, 100) + 2 * weights


class Largest(TorchDispatchMode):
    """Bytes of the storages that live at once at the worst moment."""

    def __init__(self):
        super().__init__()
        self.live = {}
        self.peak = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                self.live[storage.data_ptr()] = (
                    torch.multiprocessing.reductions.StorageWeakRef(storage),
                    storage.nbytes(),
                )
        self.live = {k: held for k, held in self.live.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.live.values()))
        return result


def test_the_model_takes_no_more_and_not_much_less():
    model = small_model()
    ids, mask = model.ids_of(["ACDEFGHIKL" * 150])
    with Largest() as largest:
        model.contact_logits_of_ids(ids, mask)
    assert 0.5 * contact_bytes(model, 1500) < largest.peak <= contact_bytes(model, 1500)


def test_files_of_windows_take_less_than_files_of_all_pairs():
    whole = [Window(0, 30_000)]
    tiles = windows(30_000, 1022)
    assert writing_bytes(30_000, whole, False) == (16 + 24) * 30_000**2
    listed = sum(len(tile) ** 2 for tile in tiles) // 2
    assert writing_bytes(30_000, tiles, False) == 16 * 30_000**2 + 48 * listed
    assert writing_bytes(1000, [Window(0, 1000)], True) == 56 * 1000**2


@pytest.mark.parametrize("width", [10, 400])
def test_no_more_pairs_are_listed_than_there_are(width):
    tiles = windows(500, width, width - 1)
    assert writing_bytes(500, tiles, False) <= 40 * 500**2
    assert np.isfinite(writing_bytes(500, tiles, True))
