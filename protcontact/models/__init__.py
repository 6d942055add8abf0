"""Networks from residues to contacts: an `Encoder`, then a `PairHead`.

Contract: an encoder maps tokens ``(B, L)`` and mask ``(B, L)`` to ``(B, L, C)``, zero where mask is
False; a pair head maps that to symmetric logits ``(B, L, L)`` for any L. Padding never changes the
numbers of a chain.
"""
