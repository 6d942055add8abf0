"""Checkpoints of other libraries: read safely, kept in one file that describes itself."""
