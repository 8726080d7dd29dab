"""The beginning of a text, for what reads only so much of a document."""


def beginning(text: str, max_bytes: int) -> str:
    """Return the text's beginning: whole if it has at most ``max_bytes`` UTF-8 bytes, else to the last line end there.

    A first line that is longer than the limit is cut between two characters.
    """
    data = text.encode()
    if len(data) <= max_bytes:
        return text
    cut = data[:max_bytes].decode(errors="ignore")
    end = cut.rfind("\n") + 1
    return cut[:end] if end else cut
