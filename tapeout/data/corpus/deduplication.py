"""Exact deduplication, and no leak from held-out text into training text."""

import hashlib
from collections import Counter

from tapeout.config.corpus import RTL_SUFFIXES
from tapeout.data.corpus.documents import Document
from tapeout.data.rtl.comments import skeleton


def drop_duplicates(documents: list[Document], dropped: Counter[tuple[str, str]]) -> list[Document]:
    """Keep the first of each set of equal texts; count the others as (source, reason)."""
    seen: set[str] = set()
    kept = []
    for document in documents:
        if document.digest in seen:
            dropped[document.source, "duplicate"] += 1
        else:
            seen.add(document.digest)
            kept.append(document)
    return kept


def drop_leaks(train: list[Document], test: list[Document], dropped: Counter[tuple[str, str]]) -> list[Document]:
    """Remove from ``train`` what is also in ``test``, exactly or but for comments and white space (trap D9).

    The copy in ``test`` always stays: a test set must not change because somebody adds training text.
    """
    exact = {document.digest for document in test}
    close = {skeleton_digest(document) for document in test}
    kept = []
    for document in train:
        if document.digest in exact:
            dropped[document.source, "also in test"] += 1
        elif skeleton_digest(document) in close:
            dropped[document.source, "also in test, but for comments or white space"] += 1
        else:
            kept.append(document)
    return kept


def skeleton_digest(document: Document) -> bytes:
    """Digest of the text reduced by ``skeleton``, which reads Verilog by the file's suffix."""
    return hashlib.sha256(skeleton(document.text, document.path.endswith(RTL_SUFFIXES)).encode()).digest()
