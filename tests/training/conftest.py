"""A small prepared and split data set, and a small model."""

import pytest
import torch

from protcontact.data.datamodule import ContactDataModule
from protcontact.data.splitfile import Assignment, write_assignments
from protcontact.data.store import write_store
from protcontact.models.encoders.recurrent import BiLSTM
from protcontact.models.heads.bilinear import Bilinear
from protcontact.training.module import ContactModule
from tests.data.chains import random_chain


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """Folder with 30 random chains: 20 train, 5 val, 5 test."""
    folder = tmp_path_factory.mktemp("small_data")
    chains = [random_chain(f"c{n:02d}", 30 + n, seed=n, unresolved=n % 3) for n in range(30)]
    write_store(folder, chains)
    splits = ["train"] * 20 + ["val"] * 5 + ["test"] * 5
    rows = [Assignment(c.id, s, c.id, len(c)) for c, s in zip(chains, splits, strict=True)]
    write_assignments(folder / "splits.tsv", rows)
    return folder


@pytest.fixture
def make_data(small_data):
    """Makes a data module on it."""
    return lambda: ContactDataModule(str(small_data), pair_budget=8000, crop_size=40)


@pytest.fixture
def make_module():
    """Makes a module with dropout and mutations, always the same one."""

    def make(head=Bilinear, **changes):
        torch.manual_seed(0)
        encoder = BiLSTM(channels=4, layers=1, dropout=0.1, corruption=0.1)
        return ContactModule(encoder, head, **changes)

    return make
