"""Read the documents of a source, and count what is left out and why.

A source has archives, JSON Lines or parquet with a field ``text``, or plain text files; each selected file or row is
one document. JSON Lines outside archives are always read, even if no pattern includes them,
unless one excludes them.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tapeout.config.corpus import Selection
from tapeout.data.io.readers import raw_documents
from tapeout.data.io.text import usable_text
from tapeout.data.io.text_rows import text_row


@dataclass(frozen=True)
class Document:
    r"""One text with its origin.

    Attributes:
        text: the text, with ``\n`` line ends, without byte-order mark and control characters.
        source: name of the source (for RTL: the core).
        path: path inside the source; ``path:number`` for rows.
        licence: licence that a row states itself; empty if that of its source applies.
    """

    text: str
    source: str
    path: str
    licence: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the text's UTF-8 bytes, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass
class Tally:
    """Counts of a source's files.

    Attributes:
        dropped: files or documents left out, by reason.
        repaired: documents, by the repair that their text needed.
        first: a document that was left out because of its content, by reason; no report of a corpus states it.
    """

    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)


def read_source(name: str, folder: Path, selection: Selection, tally: Tally) -> list[Document]:
    """Return the documents of one source, sorted by path; count what is left out or repaired in ``tally``.

    Raises:
        UnreadableFile: a file is damaged.
        BadRow: a line of a JSONL file has no text.
    """
    documents = []
    for raw in raw_documents(folder, selection, "text", tally.dropped, all_rows=True):
        content, licence = raw.content, raw.licence
        if raw.line and isinstance(content, bytes):
            content, licence = text_row(raw.path, raw.line, content, "text", tally.repaired)
        text, reason = usable_text(raw.path, content, selection, tally.repaired)
        if reason:
            tally.dropped[reason] += 1
            tally.first.setdefault(reason, raw.path)
        else:
            path = f"{raw.path}:{raw.row}" if raw.row else raw.path
            documents.append(Document(text, name, path, licence))
    tally.dropped += Counter()  # removes counts of zero
    return sorted(documents, key=lambda document: (document.path, document.text))
