"""Values of JSON that are nested too deeply for the programs that walk through them."""

from typing import Any

MAX_NESTING = 200


def is_nested_deeply(value: Any) -> bool:
    """Return whether lists and objects lie in each other more than ``MAX_NESTING`` deep."""
    level = [value]
    for _ in range(MAX_NESTING + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
