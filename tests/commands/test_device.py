"""Names of devices."""

import pytest
import torch

from protcontact.commands.device import usable_device
from protcontact.errors import InputError


def test_a_device_by_its_name():
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99"])
def test_what_cannot_hold_numbers_is_refused(name):
    with pytest.raises(InputError, match=f"--device {name} cannot be used"):
        usable_device(name)
