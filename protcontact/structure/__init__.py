"""Structure files to labelled chains: numpy and biotite, no torch.

Contract: lengths in Angstrom, residue indices count from 0 along the full sequence (SEQRES /
entity_poly_seq), unresolved residues have NaN coordinates, maps are symmetric ``(L, L)``.
"""
