"""Words of a text."""


def words(text: str) -> list[str]:
    """Sorted and unique."""
    return sorted(set(text.split()))
