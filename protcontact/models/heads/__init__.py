"""One pair head per file: vectors ``(B, L, C)`` to symmetric logits ``(B, L, L)``.

Add one: subclass `protcontact.models.contract.PairHead`, take ``in_channels`` first, write
``forward``. The contract test finds the class by itself.
"""
