"""How is an embedding computed once, and read from disk ever after?

A frozen encoder gives a chain the same numbers in every epoch. They are kept one file per row, in
safetensors, under a name that is a hash of all that they depend on: the weights, the precision, the
letters and the distances between them. Other weights are simply other names. Files appear whole or
not at all, so any number of processes may share a folder.
"""

import hashlib
import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from protcontact.atomic import replacing
from protcontact.errors import InputError

TENSOR = "embedding"
CHECKSUM = "crc32"  # a header that can be read says nothing of what stands behind it


class EmbeddingCache:
    """A folder of embeddings ``(L, C)``.

    Args:
        folder: Made when the first is written; nothing else should be in it.

    Raises:
        InputError: If that is a file.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"cache {folder} is a file; name a folder for the embeddings")

    def path(self, name: str) -> Path:
        """Where the embedding of this name is, or would be."""
        return self.folder / name[:2] / f"{name}.safetensors"  # 256 folders: some list slowly

    def fetch(self, name: str, shape: tuple[int, int], compute: Callable[[], Tensor]) -> Tensor:
        """Read an embedding, or compute and keep it.

        A file that is damaged is computed again and replaced, with a warning that names it.

        Args:
            name: Of `digest`.
            shape: ``(L, C)`` that it must have.
            compute: Gives it.

        Returns:
            ``(L, C)``, the same bits whether read or computed; on the CPU if read.
        """
        path = self.path(name)
        try:
            return _read(path, shape)
        except FileNotFoundError:
            pass  # seen for the first time
        except (SafetensorError, ValueError) as error:
            warnings.warn(
                f"{path} is damaged ({error}); it is computed again and replaced", stacklevel=2
            )
        embedding = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        content = embedding.detach().to("cpu").contiguous()
        with replacing(path) as temporary:
            save_file({TENSOR: content}, temporary, {CHECKSUM: str(_checksum(content))})
        return embedding


def _read(path: Path, shape: tuple[int, int]) -> Tensor:
    """Read and check.

    Raises:
        ValueError: If it is not what was written.
    """
    with safe_open(path, framework="pt") as file:
        told = (file.metadata() or {}).get(CHECKSUM)
        if TENSOR not in file.keys():  # noqa: SIM118
            raise ValueError(f"it holds no {TENSOR}")
        embedding: Tensor = file.get_tensor(TENSOR)
    if tuple(embedding.shape) != shape:
        raise ValueError(f"its shape is {tuple(embedding.shape)} and should be {shape}")
    if told != str(_checksum(embedding)):
        raise ValueError("its numbers are not those that were written")
    return embedding


def digest(parts: Iterable[str | Tensor]) -> str:
    """Hash texts and tensors: values, types and shapes, wherever they are.

    Args:
        parts: In an order that is always the same.

    Returns:
        64 hexadecimal digits.
    """
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            kind, content = "text", memoryview(part.encode())
        else:
            kind, content = f"{part.dtype}{tuple(part.shape)}", _bytes(part)
        found.update(f"{kind}:{content.nbytes}:".encode())
        found.update(content)
    return found.hexdigest()


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(_bytes(tensor))


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().to("cpu").contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
