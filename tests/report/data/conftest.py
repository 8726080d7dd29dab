"""Fixtures of the inspection tests: the data report is written from inspections."""

from tests.inspection.conftest import model, write

__all__ = ["model", "write"]
