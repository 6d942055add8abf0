"""One module per verb of the command line: ``configure(parser)`` and ``run(args) -> int``.

A verb parses, calls the layer that does the work, and prints; it holds no logic of its own.
"""
