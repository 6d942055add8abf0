"""How does a pretrained file, or one of another library, become a model?"""

from pathlib import Path

from protcontact.errors import InputError
from protcontact.models.encoders.esm2 import ESM2
from protcontact.models.pretrained.fair_esm import read_fair_esm, regression_beside
from protcontact.models.pretrained.file import Pretrained
from protcontact.models.pretrained.hugging_face import read_hugging_face


def load_pretrained(path: str | Path) -> ESM2:
    """The model of a pretrained file, in evaluation mode, on the CPU.

    ``load_pretrained("esm2.safetensors").contacts(tokens, mask)`` are its contacts.

    Args:
        path: Written by ``protcontact import``.

    Returns:
        The encoder. An `InputError` says what is wrong with a file that cannot be used.
    """
    return ESM2(checkpoint=str(path)).eval()


def read_foreign(source: Path, regression: Path | None = None) -> Pretrained:
    """Read a checkpoint of fair-esm or Hugging Face, told by what it is, not by its name.

    Args:
        source: A ``.pt`` file, or a folder with ``config.json``.
        regression: File of fair-esm's contact regression; by default the one beside a ``.pt`` file.

    Returns:
        Content of a pretrained file.

    Raises:
        InputError: If it cannot be used.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist; give a .pt file or a folder")
    if source.is_dir():
        if regression is not None:
            raise InputError(
                f"{source}: a folder of Hugging Face has its contact regression in itself; leave "
                "--regression out"
            )
        return read_hugging_face(source)
    return read_fair_esm(source, regression or regression_beside(source))
