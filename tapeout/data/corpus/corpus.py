"""A corpus: deduplicated training and test text in a stable order, with a report of everything left out."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.corpus import Selection
from tapeout.data.corpus.documents import Document, Tally, read_source
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.comments import skeleton
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.data.io.ngrams import unicode_form
from tapeout.data.io.recognition import is_rtl


def read_sources(
    names: Sequence[str], folders: Sequence[Path], selection: Selection
) -> tuple[list[Document], dict[str, Tally]]:
    """Return the documents of all sources, ordered by source and path, and the counts of each source."""
    tallies = {name: Tally() for name in sorted(names)}
    folder_of = dict(zip(names, folders, strict=True))
    documents = [
        document for name in tallies for document in read_source(name, folder_of[name], selection, tallies[name])
    ]
    return documents, tallies


def write_corpus(
    output: Path,
    documents: list[Document],
    tallies: dict[str, Tally],
    is_test: Callable[[Document], bool],
    licences: Mapping[str, str],
) -> None:
    """Write train.jsonl, test.jsonl and report.json into the new folder ``output``.

    Raises:
        NotEnoughData: the training or the test split is empty.
    """
    dropped: Counter[tuple[str, str]] = Counter()
    test = drop_duplicates([document for document in documents if is_test(document)], dropped)
    train = drop_duplicates([document for document in documents if not is_test(document)], dropped)
    train = drop_leaks(train, test, dropped)
    for (source, reason), count in dropped.items():
        tallies[source].dropped[reason] += count
    for split, rows in (("training", train), ("test", test)):
        if not rows:
            total = sum((tally.dropped for tally in tallies.values()), Counter[str]())
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(total.items()))
            raise NotEnoughData(
                f"The {split} split of the corpus from {', '.join(tallies)} is empty: of {len(documents)} documents "
                f"none is in it (left out: {reasons or 'nothing'}).",
                "Widen include, exclude or max_bytes in the corpus section, name other sources, or, with few "
                "documents, set another corpus.general.test_fraction.",
            )
    output.mkdir()
    write_jsonl(output / "train.jsonl", (row(document, licences) for document in train))
    write_jsonl(output / "test.jsonl", (row(document, licences) for document in test))
    write_json(output / "report.json", report(train, test, tallies))


def drop_duplicates(documents: list[Document], dropped: Counter[tuple[str, str]]) -> list[Document]:
    """Return the first of each set of equal texts; count the others in ``dropped`` by source and reason."""
    seen: set[str] = set()
    unique = []
    for document in documents:
        if document.digest in seen:
            dropped[document.source, "duplicate"] += 1
        else:
            seen.add(document.digest)
            unique.append(document)
    return unique


def drop_leaks(train: list[Document], test: list[Document], dropped: Counter[tuple[str, str]]) -> list[Document]:
    """Return ``train`` without the texts of ``test``, even if they differ in comments, white space or Unicode form.

    The copy in ``test`` stays: a test set must not change because training text was added.
    """
    exact = {document.digest for document in test}
    similar = {skeleton_digest(document) for document in test}
    clean = []
    for document in train:
        if document.digest in exact:
            dropped[document.source, "also in test"] += 1
        elif skeleton_digest(document) in similar:
            dropped[document.source, "also in test, but for comments or white space"] += 1
        else:
            clean.append(document)
    return clean


def skeleton_digest(document: Document) -> bytes:
    """Return the digest of the text in one Unicode form, reduced by ``skeleton``: as Verilog if the suffix says so."""
    return hashlib.sha256(skeleton(unicode_form(document.text), is_rtl(document.path)).encode()).digest()


def row(document: Document, licences: Mapping[str, str]) -> dict[str, str]:
    """Return a document as a row of the corpus; ``licences`` are those of the sources."""
    return {
        "text": document.text,
        "source": document.source,
        "path": document.path,
        "licence": document.licence or licences[document.source],
        "digest": document.digest,
    }


def report(train: list[Document], test: list[Document], tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """Return documents and UTF-8 bytes by split, and by source also what was left out or repaired."""
    sources = {
        name: {
            "train": measure([document for document in train if document.source == name]),
            "test": measure([document for document in test if document.source == name]),
            "dropped": dict(tally.dropped),
            "repaired": dict(tally.repaired),
        }
        for name, tally in tallies.items()
    }
    return {"train": measure(train), "test": measure(test), "sources": sources}


def measure(documents: list[Document]) -> dict[str, int]:
    """Return the number of documents and of their UTF-8 bytes."""
    return {"documents": len(documents), "bytes": sum(len(document.text.encode()) for document in documents)}


def in_fraction(digest: str, fraction: float) -> bool:
    """Return whether a digest falls into the given fraction of all digests: a choice by content alone."""
    return int(digest[:16], 16) < fraction * 16.0**16
