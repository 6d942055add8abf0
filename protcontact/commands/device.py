"""Which device did the user mean, and can it be used?"""

import torch

from protcontact.errors import InputError


def usable_device(name: str) -> torch.device:
    """Find a device by its name, and use it once.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        InputError: If there is no such device, or it cannot hold numbers.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` has no numbers
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used ({reason}); try --device cpu") from error
    return device
