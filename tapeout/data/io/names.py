"""Names of files as text: a file system and a tar archive take any bytes, JSON and people do not."""


def readable(name: str) -> str:
    """A name in which each byte that is not UTF-8 is written as ``\\\\xff``; any other name as it is."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
