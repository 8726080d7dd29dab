"""Settings that the layer itself gives to every program; they are part of every action."""

from collections.abc import Mapping

CONSTANTS: Mapping[str, str] = {
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",  # a script cannot import what lies beside it by accident
    "PYTHONUNBUFFERED": "1",
    "TZ": "UTC",
}
"""Environment variables of every program, by name."""
