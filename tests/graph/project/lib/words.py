"""Words of a text."""


def words(text: str) -> list[str]:
    """Return the distinct words, sorted."""
    return sorted(set(text.split()))
