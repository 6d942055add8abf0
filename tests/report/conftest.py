"""A run that was really trained."""

from tests.report.training import trained_run

__all__ = ["trained_run"]
