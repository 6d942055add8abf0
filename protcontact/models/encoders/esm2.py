"""What does a protein language model know of contacts? ESM-2, ESM-1b and ESM-1v as an encoder.

The modules, the alphabet and the names of the parameters are those of fair-esm (Rives et al. 2021,
Lin et al. 2023), so any of its weights fit. Only the forward pass is another: attention is fused
where vectors are wanted, and where contacts are wanted each attention map enters a running sum
(Rao et al. 2020, `protcontact.models.attention_sum`) and is forgotten.

    x = E[letter] (1 - 0.12)         0.12: share that was masked in training (token dropout)
    x = norm(x + P[place])           ESM-1b and ESM-1v; ESM-2 turns queries and keys by their place
    x = x + attention(norm(x)),  x = x + mlp(norm(x)),  layer after layer
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from esm.data import Alphabet
from esm.modules import (
    ContactPredictionHead,
    ESM1bLayerNorm,
    LearnedPositionalEmbedding,
    RobertaLMHead,
    TransformerLayer,
)
from torch import Tensor, nn
from torch.nn import functional

from protcontact.errors import InputError
from protcontact.models.attention_sum import ContactSum
from protcontact.models.contract import Encoder, MapVisitor, default_index
from protcontact.models.encoders.transformer import rotate
from protcontact.models.pairing import attention_maps
from protcontact.models.pretrained.file import read_pretrained
from protcontact.structure.alphabet import LETTERS, PADDING

MASKED = 0.15 * 0.8  # share of residues that were masked in training
ALPHABET = Alphabet.from_architecture("ESM-1b")  # of ESM-1b, ESM-1v and ESM-2


class ESM2(Encoder):
    """A protein language model of the ESM family, with a contact regression if its file had one.

    Args:
        channels: C.
        layers: Number of blocks.
        heads: K, attention heads per block.
        expansion: Width of the feed-forward part as a multiple of C.
        positions: Longest input with learned positions, begin and end included (ESM-1b and ESM-1v:
            1,024); 0: rotary positions, of any length (ESM-2).
        norm_before: Whether a norm stands in front of the first block (ESM-1b).
        token_dropout: Whether vectors are scaled for the share that was masked in training.
        norm_eps: Added to the variance in each norm.
        regression: Whether there is a contact regression over all attention maps.
        checkpoint: File written by ``protcontact import``. It says what all of the above are, and
            what the weights are; without it they are random.

    Sizes that make no model are refused with a ValueError.
    """

    ids: Tensor

    opens_blocks = True  # see `_project` and `_end`: the maps are formed in between

    def __init__(
        self,
        channels: int = 16,
        layers: int = 2,
        heads: int = 2,
        expansion: int = 4,
        positions: int = 0,
        norm_before: bool = False,
        token_dropout: bool = True,
        norm_eps: float = 1e-5,
        regression: bool = True,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__()
        tensors = None
        if checkpoint is not None:
            held = read_pretrained(checkpoint)
            self.init_args |= {**held.architecture, "checkpoint": None}
            tensors = held.tensors
        size = self.init_args
        _refuse_sizes(size)
        self.out_channels = size["channels"]
        self.maps = size["layers"], size["heads"]
        self.heads = size["heads"]
        self.positions = size["positions"]
        self.token_dropout = size["token_dropout"]
        with nullcontext() if tensors is None else torch.device("meta"):
            self._build(**size)
        if tensors is not None:
            self._take(tensors, checkpoint)
        self.lm_head.weight = self.embed_tokens.weight
        for module in self._silent():
            module.requires_grad_(False)
        self.embed_tokens.requires_grad_()
        table = [ALPHABET.get_idx(letter) for letter in LETTERS] + [ALPHABET.padding_idx]
        self.register_buffer("ids", torch.tensor(table), persistent=False)

    def _build(
        self,
        channels: int,
        layers: int,
        heads: int,
        expansion: int,
        positions: int,
        norm_before: bool,
        norm_eps: float,
        regression: bool,
        **_: object,
    ) -> None:
        self.embed_tokens = nn.Embedding(len(ALPHABET), channels, ALPHABET.padding_idx)
        self.residues = nn.Identity()  # (B, L, C): where gradient flow asks what letters do
        if positions:
            self.embed_positions = LearnedPositionalEmbedding(
                positions, channels, ALPHABET.padding_idx
            )
        if norm_before:
            self.emb_layer_norm_before = ESM1bLayerNorm(channels)
        self.layers = nn.ModuleList(
            TransformerLayer(
                channels,
                expansion * channels,
                heads,
                add_bias_kv=False,
                use_esm1b_layer_norm=True,
                use_rotary_embeddings=positions == 0,
            )
            for _ in range(layers)
        )
        self.emb_layer_norm_after = ESM1bLayerNorm(channels)
        self.lm_head = RobertaLMHead(channels, len(ALPHABET), self.embed_tokens.weight)
        if regression:
            self.contact_head = ContactPredictionHead(
                layers * heads, prepend_bos=True, append_eos=True, eos_idx=ALPHABET.eos_idx
            )
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = norm_eps

    def _take(self, tensors: Mapping[str, Tensor], checkpoint: str | None) -> None:
        tensors = {**tensors, "lm_head.weight": tensors["embed_tokens.weight"]}
        try:
            self.load_state_dict(tensors, strict=True, assign=True)
        except RuntimeError as error:
            raise InputError(
                f"{checkpoint}: its tensors do not fit what it says of itself: "
                + " ".join(str(error).split())
            ) from error

    def _silent(self) -> list[nn.Module]:
        """What no output depends on, and so gets no gradient: DDP would wait for one."""
        return [self.lm_head, *([self.contact_head] if self.has_regression else [])]

    @property
    def has_regression(self) -> bool:
        """Whether `contacts` can be asked."""
        return hasattr(self, "contact_head")

    @property
    def longest(self) -> int | None:
        """Residues that a chain may have; None: any number."""
        return self.positions - 2 if self.positions else None

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
        index: Tensor | None = None,
        visitor: MapVisitor | None = None,
    ) -> Tensor:
        """``(B, L), (B, L), (B, L) -> (B, L, C)``; the visitor sees each layer's maps once.

        A chain that is longer than learned positions reach is an `InputError`.
        """
        x, real, place = self._begin(self.framed(tokens, mask), mask, index)
        for number, layer in enumerate(self.layers):
            q, k, v = self._project(layer, x, place)
            if visitor is None:
                y = functional.scaled_dot_product_attention(
                    q, k, v, attn_mask=real[:, None, None, :], scale=1.0
                )
            else:
                maps = attention_maps(q * q.shape[-1] ** 0.5, k, real)
                y = maps.to(v.dtype) @ v
                pairs = mask[:, None, :, None] & mask[:, None, None, :]
                visitor(number, maps[..., 1:-1, 1:-1] * pairs)
            x = _end(layer, x, y)
        return self.emb_layer_norm_after(x)[:, 1:-1] * mask[..., None]

    @torch.no_grad()
    def contacts(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Contact probabilities ``(B, L, L)``, 0 at padding: the sigmoid of `contact_logits`."""
        pairs = mask[:, :, None] & mask[:, None, :]
        return self.contact_logits(tokens, mask, index).sigmoid() * pairs

    def contact_logits(self, tokens: Tensor, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Logits of the file's own contact regression, in memory of O(L^2) for any depth.

        Args:
            tokens: ``(B, L)``, letters of this package.
            mask: ``(B, L)``, where there is a residue.
            index: ``(B, L)``, place of each residue; ``0 ... L-1`` by default.

        Returns:
            ``(B, L, L)`` float32 (float64 of a float64 model), symmetric, 0 at padding; no graph.
            Refuses what `contact_logits_of_ids` refuses.
        """
        return self.contact_logits_of_ids(self.framed(tokens, mask), mask, index)

    @torch.no_grad()
    def contact_logits_of_ids(
        self, ids: Tensor, mask: Tensor, index: Tensor | None = None
    ) -> Tensor:
        """`contact_logits` of the model's own tokens, as `framed` and `ids_of` make them.

        Args:
            ids: ``(B, L + 2)``, between begin and end.
            mask: ``(B, L)``, where there is a residue.
            index: ``(B, L)``, place of each residue; ``0 ... L-1`` by default.

        Returns:
            As `contact_logits`.

        Raises:
            InputError: If the file had no regression. Refuses chains as `forward` does, too.
        """
        if not self.has_regression:
            raise InputError(
                "this model has no contact regression; fit one with protcontact fit-regression, "
                "or import it together with its -contact-regression.pt"
            )
        x, _, place = self._begin(ids, mask, index)
        weights = self.contact_head.regression.weight.view(len(self.layers), self.heads)
        lengths = (mask.sum(dim=1) + 2).tolist()
        sums = [ContactSum(weights, T) for T in lengths]
        last = sums[0].last_layer
        for number, layer in enumerate(self.layers[: last + 1]):
            q, k, v = self._project(layer, x, place)
            if number == last:  # of which nothing but the maps is wanted
                for chain, T in enumerate(lengths):
                    sums[chain].look(number, q[chain, :, :T], k[chain, :, :T])
                break
            y = torch.zeros_like(v)
            for chain, T in enumerate(lengths):
                parts = (part[chain, :, :T] for part in (q, k, v))
                y[chain, :, :T] = sums[chain].attend(number, *parts)
            del q, k, v
            x = _end(layer, x, y)
        bias = self.contact_head.regression.bias
        found = x.new_zeros(*mask.shape, mask.shape[1], dtype=sums[0].dtype)
        for chain, T in enumerate(lengths):
            found[chain, : T - 2, : T - 2] = sums[chain].logits() + bias.to(sums[chain].dtype)
        return found

    def ids_of(self, sequences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Sequences to the model's own tokens, which know B, U, Z and O, too.

        Args:
            sequences: B of them, upper case.

        Returns:
            ``(B, L + 2)`` and the mask ``(B, L)``, for `contact_logits_of_ids`.

        Raises:
            InputError: If a letter is not in the alphabet, or a sequence is empty.
        """
        device = self.ids.device
        longest = max(map(len, sequences))
        ids = torch.full((len(sequences), longest + 2), ALPHABET.padding_idx)
        for row, sequence in enumerate(sequences):
            unknown = sorted(set(sequence) - set(ALPHABET.standard_toks[:25]))
            if unknown or not sequence:
                raise InputError(
                    f"sequence {row + 1} has letters that the alphabet of the model lacks: "
                    f"{', '.join(unknown)}; write X for an unknown residue"
                    if unknown
                    else f"sequence {row + 1} has no residues; leave it out"
                )
            codes = [ALPHABET.get_idx(letter) for letter in sequence]
            framed = [ALPHABET.cls_idx, *codes, ALPHABET.eos_idx]
            ids[row, : len(framed)] = torch.tensor(framed)
        place = torch.arange(longest)
        mask = place < torch.tensor([len(sequence) for sequence in sequences])[:, None]
        return ids.to(device), mask.to(device)

    def framed(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``(B, L) -> (B, L + 2)``: in the model's own tokens, between begin and end."""
        inner = self.ids[tokens.masked_fill(~mask, PADDING)]
        ids = functional.pad(inner, (1, 1), value=ALPHABET.padding_idx)
        ids[:, 0] = ALPHABET.cls_idx
        return ids.scatter(1, mask.sum(dim=1, keepdim=True) + 1, ALPHABET.eos_idx)

    def _begin(
        self, ids: Tensor, mask: Tensor, index: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        # vectors (B, T, C), which of them are real, and their places; T = L + 2
        index = default_index(mask) if index is None else index
        inner = (index - index[:, :1] + 1).masked_fill(~mask, 0)
        place = functional.pad(inner, (1, 1))
        end = inner.amax(dim=1, keepdim=True) + 1
        place = place.scatter(1, mask.sum(dim=1, keepdim=True) + 1, end)
        real = ids != ALPHABET.padding_idx
        x = self.embed_tokens(ids)
        x = torch.cat([x[:, :1], self.residues(x[:, 1:-1]), x[:, -1:]], dim=1)
        if self.token_dropout:
            x = x * (1 - MASKED)
        if self.positions:
            if int(end.max()) >= self.positions:
                raise InputError(
                    f"a chain reaches over {int(end.max()) - 1} residues, and the learned "
                    f"positions of this model over {self.longest}; cut it into windows"
                )
            x = x + self.embed_positions.weight[place + ALPHABET.padding_idx + 1]
        if hasattr(self, "emb_layer_norm_before"):
            x = self.emb_layer_norm_before(x)
        return x * real[..., None], real, place

    def _project(
        self, layer: TransformerLayer, x: Tensor, place: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, scaled, keys and values ``(B, K, T, D)``."""
        attention, x = layer.self_attn, layer.self_attn_layer_norm(x)
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        if attention.rot_emb is not None:
            angle = place[:, None, :, None].to(attention.rot_emb.inv_freq) * (
                attention.rot_emb.inv_freq
            )
            rotation = angle.cos().to(q.dtype), angle.sin().to(q.dtype)
            q, k = rotate(q, rotation), rotate(k, rotation)
        return q * q.shape[-1] ** -0.5, k, v


def _refuse_sizes(size: Mapping[str, Any]) -> None:
    """Look at sizes before they show as a division by zero.

    Raises:
        ValueError: If one is below 1, `channels` is not a multiple of ``2 * heads``, or `positions`
            leaves no place for a residue.
    """
    if min(size["channels"], size["layers"], size["heads"], size["expansion"]) < 1:
        raise ValueError("channels, layers, heads and expansion must be >= 1")
    if size["positions"] != 0 and size["positions"] < 3:
        raise ValueError(
            f"positions must be 0, or hold begin, end and a residue, not {size['positions']}"
        )
    if size["channels"] % (2 * size["heads"]):
        raise ValueError(
            f"channels must be a multiple of 2 * heads, not {size['channels']} and {size['heads']}"
        )


def _end(layer: TransformerLayer, x: Tensor, y: Tensor) -> Tensor:
    """``(B, T, C)``, values ``(B, K, T, D)`` -> ``(B, T, C)``: the rest of a block."""
    x = x + layer.self_attn.out_proj(y.transpose(1, 2).flatten(2))
    return x + layer.fc2(functional.gelu(layer.fc1(layer.final_layer_norm(x))))
