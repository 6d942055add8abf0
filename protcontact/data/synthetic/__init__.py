"""Folds made by the package, whose sequences carry their contacts.

Contract: numpy only, apart from the writer (biotite). Lengths in Angstrom, angles in degrees,
residue indices from 0. Everything is drawn from one ``numpy.random.Generator``, so equal seeds give
equal files. From the outside in: `write` (files) <- `fold` (one chain) <- `topology` (which element
lies where, and in which order the chain visits them), `trace` (the CA path of the loops),
`backbone` (all atoms from the CA path), `code` (the sequence) <- `geometry` (ideal peptides).
"""
