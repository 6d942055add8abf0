"""How is a contact regression over all attention maps summed without keeping any of them?

After Rao et al. 2020 the logit of a pair is linear in the maps, each symmetrised and corrected for
its average product (APC):

    S     = sum_h w_h (A_h + A_h^T)                   over the residues, without begin and end
    logit = S - sum_h (w_h / t_h) r_h r_h^T + b,      r_h = row sums of (A_h + A_h^T), t_h = sum r_h

So of a layer with K heads only S, ``(T, T)``, and the r_h, ``(K, T)``, have to be kept. Maps come
into being in pieces that stay in the cache, enter S, make the layer's output and are overwritten.
"""

import torch
from torch import Tensor
from torch.nn import functional

from protcontact.models.pairing import at_least_float32

CACHED = 2**20 + 2**16  # entries of maps that exist at once on a CPU: 4 MB, within the cache
ON_DEVICE = 2**26  # on a GPU, which is fast if it has much to do at once: 256 MB


class ContactSum:
    """Of one chain: T tokens, of which the first and the last are no residues.

    Args:
        weights: ``(layers, K)`` of the maps, where the chain is.
        length: T.
    """

    def __init__(self, weights: Tensor, length: int) -> None:
        self.dtype = at_least_float32(weights[:0]).dtype
        self.weights = weights.to(self.dtype)
        self.length = length
        self.total = self.weights.new_zeros(length, length)
        self._used = (self.weights != 0).tolist()
        self._numbers = self.weights.tolist()
        self._rows: list[Tensor] = []
        self._kept: list[Tensor] = []
        self._pieces: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    @property
    def last_layer(self) -> int:
        """The last with a weight that is not 0: what comes after it changes nothing; 0 if none."""
        return max((layer for layer, used in enumerate(self._used) if any(used)), default=0)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Take in the maps of one layer, ``softmax(q k^T)``, and say what they make of the values.

        Args:
            layer: Which one.
            q: ``(K, T, D)``, scaled.
            k: ``(K, T, D)``.
            v: ``(K, T, D)``.

        Returns:
            ``(K, T, D)``. Heads of weight 0 are attended to by torch's fused attention, which forms
            no map.
        """
        y = torch.empty_like(v)
        unused = [head for head, is_used in enumerate(self._used[layer]) if not is_used]
        if unused:
            q0, k0, v0 = (part[unused][None] for part in (q, k, v))
            [y[unused]] = functional.scaled_dot_product_attention(q0, k0, v0, scale=1.0)
        self._take(layer, q, k, v, y)
        return y

    def look(self, layer: int, q: Tensor, k: Tensor) -> None:
        """Take in the maps of a layer of whose output nothing is wanted; arguments as above."""
        self._take(layer, q, k, None, None)

    def _take(self, layer: int, q: Tensor, k: Tensor, v: Tensor | None, y: Tensor | None) -> None:
        size = CACHED if q.device.type == "cpu" else ON_DEVICE
        pieces = -(-(self.length**2) // size)  # of equal size, so none is nearly empty
        rows = -(-self.length // pieces)
        heads = max(1, size // (rows * self.length))
        used = [head for head, is_used in enumerate(self._used[layer]) if is_used]
        for start in range(0, len(used), heads):
            self._add_heads(layer, used[start : start + heads], rows, q, k, v, y)

    def _add_heads(
        self,
        layer: int,
        heads: list[int],
        rows: int,
        q: Tensor,
        k: Tensor,
        v: Tensor | None,
        y: Tensor | None,
    ) -> None:
        where = slice(heads[0], heads[-1] + 1) if _in_line(heads) else heads
        q, k, weights = q[where], k[where], self.weights[layer, where]
        values = None if v is None else v[where]
        columns = self.total.new_zeros(len(heads), self.length)
        ends = self.total.new_zeros(len(heads), self.length)  # what begin and end are given
        for start in range(0, self.length, rows):
            stop = min(start + rows, self.length)
            maps = self._maps(q[:, start:stop], k)
            if values is not None and y is not None:
                y[where, start:stop] = maps.to(values.dtype) @ values
            if len(heads) == 1:
                self.total[start:stop].add_(maps[0], alpha=self._numbers[layer][heads[0]])
            else:
                with torch.autocast(q.device.type, enabled=False):
                    self.total[start:stop] += torch.einsum("k,kij->ij", weights, maps)
            inner = maps[:, max(1 - start, 0) : max(self.length - 1 - start, 0)]
            columns += inner.sum(dim=1)
            ends[:, start:stop] = maps[:, :, 0] + maps[:, :, -1]
        sums = (1 - ends + columns)[:, 1:-1]  # each row of a map adds up to 1
        self._rows.append(sums)
        mass = sums.sum(dim=1, keepdim=True)
        self._kept.append(weights[:, None] / torch.where(mass == 0, 1.0, mass))

    def _maps(self, q: Tensor, k: Tensor) -> Tensor:
        """``(k, R, D), (k, T, D) -> (k, R, T)``, in buffers that are used again and again."""
        with torch.autocast(q.device.type, enabled=False):
            if q.dtype != self.dtype:
                return torch.softmax(q @ k.mT, dim=-1, dtype=self.dtype)
            shape = q.shape[0], q.shape[1]
            if shape not in self._pieces:
                self._pieces[shape] = (
                    q.new_empty(*shape, self.length),
                    q.new_empty(*shape, self.length),
                )
            scores, maps = self._pieces[shape]
            torch.bmm(q, k.mT, out=scores)
            torch.softmax(scores, dim=-1, out=maps)
            return maps

    def logits(self) -> Tensor:
        """``(L, L)``, L = T - 2, symmetric, without the bias."""
        inner = self.total[1:-1, 1:-1]
        found = inner + inner.T
        if self._rows:
            rows = torch.cat(self._rows)
            with torch.autocast(rows.device.type, enabled=False):
                product = (rows * torch.cat(self._kept)).T @ rows
            found -= 0.5 * (product + product.T)  # symmetric up to rounding; made exact here
        return found


def _in_line(heads: list[int]) -> bool:
    return heads[-1] - heads[0] + 1 == len(heads)
