"""Extending a SentencePiece vocabulary with pieces of a domain."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.tokenizer import Tokenizer
from tapeout.data.io.archives import is_archive, read_archive
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import extend, merge_ranks, parse
from tapeout.errors import TapeoutError
from tapeout.tokenizer.merges import Limits, NewPiece, Segmentation, continue_merges
from tapeout.tokenizer.words import count_words


class ModelFileMissing(TapeoutError):
    """The SentencePiece model is not in the fetched source."""


@dataclass(frozen=True)
class Extension:
    """An extended model and what is known about it.

    Attributes:
        model: bytes of the extended SentencePiece model.
        pieces: the new pieces in the order of their ids.
        uses: occurrences in the domain training text when it is cut by the finished model; a piece that is only a
            step towards longer ones may have few or none.
        domain_tokens: tokens of the domain training text, before.
        general_tokens: tokens of the general training text, before.
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
        ModelFileMissing: there is no such file.
        UnreadableFile: the archive cannot be read.
    """
    if (folder / name).is_file():
        return (folder / name).read_bytes()
    archives = [path for path in sorted(folder.iterdir()) if path.is_file() and is_archive(path)]
    if len(archives) == 1:
        for _, content in read_archive(archives[0], lambda member, size: member == name):
            return content
    files = ", ".join(path.name for path in sorted(folder.iterdir())) or "nothing"
    raise ModelFileMissing(
        f"The source {folder.name} has no file {name}, neither in its folder nor in its archive (its files: {files}).",
        "Set tokenizer.source to the source with the base tokenizer, and tokenizer.model_file to the model's "
        "path in that source's folder or inside its one archive.",
    )


def extend_vocabulary(
    base: bytes, domain: dict[str, list[str]], general: dict[str, list[str]], job: Tokenizer, threads: int
) -> Extension:
    """Continue the base model's merges on the domain text; see ``continue_merges``.

    Args:
        base: bytes of the base SentencePiece model.
        domain: training texts by source.
        general: training texts by source.
        job: the parameters.
        threads: threads for encoding; they change nothing in the result.

    Raises:
        UnsupportedModel: merges cannot be continued on the base model.
        TooFewPieces: the domain text does not hold enough pieces.
    """
    ranks = merge_ranks(parse(base))
    model = SentencePieceEncoder(base)
    domain_words = count_words(model, domain, threads)
    general_words = count_words(model, general, threads)
    limits = Limits(
        allowed=lambda piece: is_allowed(piece, job.longest_piece, job.digits),
        count=job.smallest_count,
        sources=min(job.smallest_sources, len(domain)),
        general=job.general_rate * general_words.tokens,
    )
    cut = Segmentation(domain_words, ranks)
    pieces = continue_merges(cut, Segmentation(general_words, ranks), ranks, job.new_pieces, limits)
    extended = extend(base, [new.piece for new in pieces])
    return Extension(extended, pieces, cut.uses(), domain_words.tokens, general_words.tokens)


def is_allowed(piece: str, longest: int, digits: bool) -> bool:
    """Whether a string may be a piece, by length and characters (that it crosses no word is seen to before)."""
    return len(piece) <= longest and (digits or not any(character.isdigit() for character in piece))
