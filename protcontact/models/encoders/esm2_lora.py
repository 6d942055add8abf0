"""Can a protein language model be adapted with one weight in a hundred?

Low-rank adaptation (Hu et al. 2022) by peft: each projection W of attention becomes
``W + (alpha / rank) B A``, of which only A ``(rank, C)`` and B ``(C, rank)`` are trained. B starts
at 0, so training starts at the model as it was imported.
"""

from protcontact.models.encoders.esm2 import ESM2

# Contacts stand in the maps, which queries and keys make; what reaches a head passes the other two.
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "out_proj")


class LoRAESM2(ESM2):
    """A protein language model of which low-rank additions to attention are trained.

    Needs peft.

    Args:
        channels: As the others down to `checkpoint` in `ESM2`.
        layers: Number of blocks.
        heads: K, attention heads per block.
        expansion: Width of the feed-forward part as a multiple of C.
        positions: Longest input with learned positions; 0: rotary positions, of any length.
        norm_before: Whether a norm stands in front of the first block.
        token_dropout: Whether vectors are scaled for the share that was masked in training.
        norm_eps: Added to the variance in each norm.
        regression: Whether there is a contact regression over all attention maps.
        checkpoint: File written by ``protcontact import``, which says what all of the above are.
        rank: Rows of A.
        alpha: Size of the addition; it enters as ``alpha / rank``.
        dropout: Share of A's inputs that is dropped in training, ``[0, 1)``.

    Raises:
        ValueError: If `rank` or `alpha` is below 1, or `dropout` outside ``[0, 1)``.
    """

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
        rank: int = 4,
        alpha: int = 8,
        dropout: float = 0.0,
    ) -> None:
        if min(rank, alpha) < 1 or not 0 <= dropout < 1:
            raise ValueError(
                "rank and alpha must be >= 1 and dropout in [0, 1), "
                f"not {rank}, {alpha} and {dropout}"
            )
        sizes = channels, layers, heads, expansion, positions
        super().__init__(*sizes, norm_before, token_dropout, norm_eps, regression, checkpoint)
        import peft  # optional, and slow to import

        adaptation = peft.LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(PROJECTIONS)
        )
        peft.inject_adapter_in_model(adaptation, self)  # freezes all but the additions
