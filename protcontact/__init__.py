"""Train, compare and diagnose models that map an amino-acid sequence to its contact map.

Layers, each importing only from those to its left:
``structure <- batch <- {data | models | metrics} <- gradflow <- training <- report <- cli``.
"""

__version__ = "0.1.0"
