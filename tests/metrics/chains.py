"""Small chains for the tests of `metrics`, and the slow obvious twin of their scores."""

import math

import torch
from torch import Tensor

from protcontact.batch import ContactBatch
from protcontact.structure.alphabet import PADDING


def compact_chain(
    length: int, seed: int, unresolved: float = 0.0, persistence: float = 0.93
) -> Tensor:
    """Random walk ``x' = persistence x + 3.8 u`` (Angstrom, u a unit vector): compact below 1.

    A fraction `unresolved` of the residues is NaN, spread at random. Rounded to 0.001 as in PDB
    files, so that every process gets the same digits.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(length, 3, generator=generator, dtype=torch.float64)
    steps = 3.8 * steps / steps.norm(dim=1, keepdim=True)
    age = torch.arange(length)[:, None] - torch.arange(length)[None, :]
    weights = (persistence ** age.double()).tril()
    coordinates = (weights @ steps).round(decimals=3).float()
    coordinates[torch.randperm(length, generator=generator)[: int(unresolved * length)]] = math.nan
    return coordinates


def make_batch(
    chains: list[Tensor], ids: list[str] | None = None, padding: int = 0
) -> ContactBatch:
    """Full-length chains of coordinates ``(L, 3)``, with `padding` more columns than needed."""
    lengths = torch.tensor([len(chain) for chain in chains])
    B, L = len(chains), int(lengths.max()) + padding
    index = torch.arange(L).repeat(B, 1)
    mask = index < lengths[:, None]
    coordinates = torch.full((B, L, 3), math.nan)
    for row, chain in zip(coordinates, chains, strict=True):
        row[: len(chain)] = chain
    names = ids or [f"chain{b}" for b in range(B)]
    tokens = torch.where(mask, 0, PADDING)
    return ContactBatch(tokens, mask, coordinates, index, lengths, tuple(names))


def random_scores(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Symmetric random scores ``(..., L, L)``."""
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return scores + scores.transpose(-1, -2)


def slow_scores(
    scores: Tensor,
    contact: Tensor,
    known: Tensor,
    length: int | None = None,
    index: Tensor | None = None,
) -> dict[str, dict[str, float]]:
    """METRICS.md, read aloud: range -> numbers named as in the tables."""
    L = len(scores)
    length = L if length is None else length
    place = list(range(L)) if index is None else index.tolist()
    spans = {"short": (6, 11), "medium": (12, 23), "long": (24, 10**9)}
    result = {}
    for name, (low, high) in spans.items():
        candidates = []
        for i in range(L):
            for j in range(i + 1, L):
                if low <= place[j] - place[i] <= high and bool(known[i, j]):
                    candidates.append((-float(scores[i, j]), i, j, bool(contact[i, j])))
        candidates.sort(key=lambda pair: pair[:3])
        truth = [pair[3] for pair in candidates]
        result[name] = _slow_range(truth, length)
    return result


def _slow_range(truth: list[bool], length: int) -> dict[str, float]:
    positives = sum(truth)
    numbers: dict[str, float] = {"candidates": len(truth), "positives": positives}
    for suffix, divisor in (("", 1), ("/2", 2), ("/5", 5)):
        best = truth[: max(length // divisor, 1)]
        numbers[f"P@L{suffix}"] = sum(best) / len(best) if positives else math.nan
        ideal = sorted(truth, reverse=True)[: len(best)]
        numbers[f"ceiling{suffix}"] = sum(ideal) / len(best) if positives else math.nan
    numbers["R-precision"] = sum(truth[:positives]) / positives if positives else math.nan
    total = 0.0
    for rank, hit in enumerate(truth, start=1):
        if hit:
            total += sum(truth[:rank]) / rank
    numbers["AUPRC"] = total / positives if positives else math.nan
    return numbers
