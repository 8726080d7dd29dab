"""Read the documents of a source, and count what is left out and why.

A source has archives, JSON Lines with a field ``text``, or plain text files; each selected file is one document. A
parquet file with a column ``text`` is read if a pattern that selects it ends in ``.parquet``: each row is a document.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from tapeout.config.corpus import Selection
from tapeout.data.io.archives import is_archive, read_archive
from tapeout.data.io.jsonl import read_jsonl
from tapeout.data.io.text import clean_text, decode_bytes


@dataclass(frozen=True)
class Document:
    r"""One text with its origin.

    Attributes:
        text: the text, with ``\n`` line ends, without byte-order mark and control characters.
        source: name of the source (for RTL: the core).
        path: path inside the source; ``path:number`` for rows.
    """

    text: str
    source: str
    path: str

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
    """

    dropped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)


def read_source(name: str, folder: Path, selection: Selection, tally: Tally) -> list[Document]:
    """Return the documents of one source, sorted by path; count what is left out or repaired in ``tally``.

    Raises:
        UnreadableFile: a file is damaged.
        BadRow: a line of a JSONL file has no text.
    """
    documents = []
    for path, content in sorted(files_of(folder, selection, tally)):
        decoded = decode_bytes(content, tally.repaired)
        text = clean_text(decoded or "", tally.repaired)
        if decoded is None:
            tally.dropped["binary"] += 1
        elif len(text.strip()) < selection.min_characters:
            tally.dropped["too short"] += 1
        else:
            documents.append(Document(text, name, path))
    return documents


def files_of(folder: Path, selection: Selection, tally: Tally) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each selected file or row."""

    def is_selected(path: str, size: int) -> bool:
        reason = rejection(path, size, selection)
        if reason:
            tally.dropped[reason] += 1
        return not reason

    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if is_archive(file):
            yield from read_archive(file, is_selected)
        elif file.suffix == ".jsonl":
            for number, row in enumerate(read_jsonl(file, fields=("text",)), start=1):
                yield f"{name}:{number}", row["text"].encode()
        elif _is_parquet(name, selection):
            # imported here: only the environment of a corpus with such a file has Arrow
            from tapeout.data.io.parquet import file_texts

            for number, text in enumerate(file_texts(file, name, "text"), start=1):
                content = (text or "").encode()
                if len(content) > selection.max_bytes:
                    tally.dropped["too large"] += 1
                else:
                    yield f"{name}:{number}", content
        elif is_selected(name, file.stat().st_size):
            yield name, file.read_bytes()


def _is_parquet(path: str, selection: Selection) -> bool:
    """Return whether a pattern that ends in ``.parquet`` selects a file; size limits apply to its rows."""
    patterns = [pattern for pattern in selection.include if pattern.endswith(".parquet")]
    return any(fnmatchcase(f"/{path}", pattern) for pattern in patterns) and not rejection(path, 0, selection)


def rejection(path: str, size: int, selection: Selection) -> str:
    """Return why a file is left out, or an empty string; patterns match the path with a leading ``/``."""
    rooted = f"/{path}"
    if not any(fnmatchcase(rooted, pattern) for pattern in selection.include):
        return "other kind"
    if any(fnmatchcase(rooted, pattern) for pattern in selection.exclude):
        return "excluded"
    return "too large" if size > selection.max_bytes else ""
