"""One encoder per file: residues ``(B, L)`` to vectors ``(B, L, C)``.

Add one: subclass `protcontact.models.contract.Encoder`, set ``out_channels``, write ``forward``.
Every constructor argument has a default small enough to run in milliseconds, so that the contract
test finds and tests the class without being told.
"""
