"""All numbers in one copy, and each back to the probe that it came from."""

import pytest
import torch

from protcontact.gradflow import transfer
from protcontact.gradflow.probe import Findings, Pending


def numbers(name, values, joined=False):
    return Pending(values, lambda rows: Findings({name: rows.tolist()}), joined)


def test_each_probe_reads_its_own_numbers():
    pending = [
        numbers("a", torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        numbers("b", torch.tensor(5.0, dtype=torch.float64)),
        numbers("c", torch.tensor([6.0]), joined=True),
    ]
    shipment = transfer.ship(pending)
    scalars = {k: v for one in shipment.read() for k, v in one.scalars.items()}
    assert scalars == {"a": [[1.0, 2.0, 3.0, 4.0]], "b": [[5.0]], "c": [[6.0]]}
    assert (shipment.copies, shipment.collectives) == (0, 0)


def test_one_gather_for_all_probes_that_ask_for_other_ranks(monkeypatch):
    calls = []

    def all_gather(rows, own):
        calls.append(own.numel())
        for rank, row in enumerate(rows):
            row.copy_(own * 10**rank)

    monkeypatch.setattr(transfer.distributed, "all_gather", all_gather)
    pending = [
        numbers("a", torch.tensor([1.0, 2.0]), joined=True),
        numbers("b", torch.tensor([3.0])),
        numbers("c", torch.tensor([4.0]), joined=True),
    ]
    shipment = transfer.ship(pending, ranks=3)
    scalars = {k: v for one in shipment.read() for k, v in one.scalars.items()}
    assert scalars == {
        "a": [[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]],
        "b": [[3.0]],
        "c": [[4.0], [40.0], [400.0]],
    }
    assert calls == [3]
    assert shipment.collectives == 1
    assert transfer.ship(pending[1:2], ranks=3).collectives == 0
    assert calls == [3]


def test_nothing_to_ship():
    assert transfer.ship([]).read() == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_device_does_not_wait():
    pending = [numbers("a", torch.ones(3, device="cuda"))]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        shipment = transfer.ship(pending)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert shipment.copies == 1
    assert shipment.read()[0].scalars["a"] == [[1.0, 1.0, 1.0]]
