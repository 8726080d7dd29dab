"""Extend a SentencePiece vocabulary with pieces of a domain."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.archives import is_archive, read_archive
from tapeout.encoder.sentencepiece import InvalidVocabulary, SentencePieceEncoder
from tapeout.encoder.vocabulary import extend, merge_ranks, parse, reserved_names
from tapeout.tokenizer.merges import Limits, NewPiece, Segmentation, continue_merges
from tapeout.tokenizer.words import count_words


@dataclass(frozen=True)
class Extension:
    """An extended model and statistics about it.

    Attributes:
        model: content of the extended model's file.
        pieces: the new pieces in the order of their ids.
        uses: occurrences in the domain training text with the extended model; a piece that is only a step towards
            longer ones may have few or none.
        domain_tokens: tokens of the domain training text with the base model.
        general_tokens: tokens of the general training text with the base model.
    """

    model: bytes
    pieces: list[NewPiece]
    uses: Counter[str]
    domain_tokens: int
    general_tokens: int


def model_in_source(folder: Path, name: str) -> bytes:
    """Return the content of the file ``name`` of a fetched source.

    The file is in the source's folder, or in the one archive there (wheel, zip, tar).

    Raises:
        InvalidVocabulary: there is no such file.
        UnreadableFile: the archive cannot be read.
    """
    if (folder / name).is_file():
        return (folder / name).read_bytes()
    archives = [path for path in sorted(folder.iterdir()) if path.is_file() and is_archive(path)]
    if len(archives) == 1:
        for _, content in read_archive(archives[0], lambda member, size: member == name):
            return content
    files = ", ".join(path.name for path in sorted(folder.iterdir())) or "none"
    raise InvalidVocabulary(
        f"The source {folder.name} has no file {name}, neither in its folder nor in its archive (files: {files}).",
        "Set tokenizer.source to the source of the base tokenizer, and tokenizer.model_file to the model's path in "
        "that source's folder or in its one archive.",
    )


def extend_vocabulary(
    base: bytes, domain: dict[str, list[str]], general: dict[str, list[str]], job: Tokenizer, threads: int
) -> Extension:
    """Continue the base model's merges on the domain text; see ``continue_merges``.

    Args:
        base: content of the base model's file.
        domain: training texts by source.
        general: training texts by source.
        job: the parameters.
        threads: threads for encoding; the result does not depend on them.

    Raises:
        InvalidVocabulary: merges of the base model cannot be continued, or the domain text has too few pieces.
    """
    proto = parse(base)
    ranks = merge_ranks(proto)
    reserved = re.compile("|".join(map(re.escape, reserved_names(proto))))
    encoder = SentencePieceEncoder(base)
    domain_words = count_words(encoder, domain, threads)
    general_words = count_words(encoder, general, threads)
    limits = Limits(
        is_allowed=lambda piece: is_allowed(piece, job.max_piece_characters, job.allow_digits, reserved),
        min_count=job.min_count,
        min_sources=min(job.min_sources, len(domain)),
        max_general=job.max_general_rate * general_words.tokens,
    )
    segmentation = Segmentation(domain_words, ranks)
    pieces = continue_merges(segmentation, Segmentation(general_words, ranks), ranks, job.new_pieces, limits)
    extended = extend(base, [new.piece for new in pieces])
    return Extension(extended, pieces, segmentation.uses(), domain_words.tokens, general_words.tokens)


def is_allowed(piece: str, max_characters: int, digits: bool, reserved: re.Pattern[str]) -> bool:
    """Return whether a string may be a piece, by its length and characters; ``words`` keeps pieces inside words.

    No piece contains a match of ``reserved``, the names of control, unknown, byte and user-defined pieces: text must
    not encode to these, and other tokenizer libraries cut texts at them before they merge.
    """
    if len(piece) > max_characters or reserved.search(piece):
        return False
    return digits or not any(character.isdigit() for character in piece)
