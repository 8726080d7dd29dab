"""A corpus: deduplicated training and test text in a stable order, with an account of everything left out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.corpus import Selection
from tapeout.data.corpus.deduplication import drop_duplicates, drop_leaks
from tapeout.data.corpus.documents import Document, Tally, read_source
from tapeout.data.io.empty import EmptyCorpus
from tapeout.data.io.jsonl import write_json, write_jsonl


def read_sources(
    names: Sequence[str], folders: Sequence[Path], selection: Selection
) -> tuple[list[Document], dict[str, Tally]]:
    """Documents of all sources, ordered by source and path, with the counts of each source.

    Args:
        names: names of the sources; they decide the order.
        folders: each source's folder, in the order of ``names``.
        selection: which files are taken.
    """
    tallies = {name: Tally() for name in sorted(names)}
    places = dict(zip(names, folders, strict=True))
    documents = [each for name in tallies for each in read_source(name, places[name], selection, tallies[name])]
    return documents, tallies


def write_corpus(
    output: Path,
    documents: list[Document],
    tallies: dict[str, Tally],
    is_test: Callable[[Document], bool],
    licences: Mapping[str, str],
) -> None:
    """Make the folder ``output`` with train.jsonl, test.jsonl and report.json.

    Raises:
        EmptyCorpus: nothing is left to train on, or nothing to test on.
    """
    dropped: Counter[tuple[str, str]] = Counter()
    test = drop_duplicates([each for each in documents if is_test(each)], dropped)
    train = drop_duplicates([each for each in documents if not is_test(each)], dropped)
    train = drop_leaks(train, test, dropped)
    for (source, reason), count in dropped.items():
        tallies[source].dropped[reason] += count
    for part, rows in (("training", train), ("test", test)):
        if not rows:
            left_out = sum((tally.dropped for tally in tallies.values()), Counter[str]())
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
            raise EmptyCorpus(
                f"The {part} part of the corpus from {', '.join(tallies)} is empty "
                f"(left out: {reasons or 'there are no files'}).",
                "Widen include, exclude or max_bytes in the corpus section, or name other sources.",
            )
    output.mkdir()
    write_jsonl(output / "train.jsonl", (row(each, licences) for each in train))
    write_jsonl(output / "test.jsonl", (row(each, licences) for each in test))
    write_json(output / "report.json", account(train, test, tallies))


def row(document: Document, licences: Mapping[str, str]) -> dict[str, str]:
    """A document as a row of the corpus."""
    return {
        "text": document.text,
        "source": document.source,
        "path": document.path,
        "licence": licences[document.source],
        "digest": document.digest,
    }


def account(train: list[Document], test: list[Document], tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """Documents and UTF-8 bytes by part, in all and by source, and what was left out or repaired by source."""
    sources = {
        name: {
            "train": measure([each for each in train if each.source == name]),
            "test": measure([each for each in test if each.source == name]),
            "dropped": dict(tally.dropped),
            "repaired": dict(tally.repaired),
        }
        for name, tally in tallies.items()
    }
    return {"train": measure(train), "test": measure(test), "sources": sources}


def measure(documents: list[Document]) -> dict[str, int]:
    """Number of documents and of UTF-8 bytes."""
    return {"documents": len(documents), "bytes": sum(len(each.text.encode()) for each in documents)}


def chosen(digest: str, share: float) -> bool:
    """Whether a digest falls into a share of all digests: a choice that depends on nothing but the content."""
    return int(digest[:16], 16) < share * 16.0**16
