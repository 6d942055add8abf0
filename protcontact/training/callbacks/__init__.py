"""What watches a run without changing its numbers; each callback is added in the config by name."""
