"""SentencePiece models as bytes: taken from a source, extended, and read again.

A model is a protocol buffer of pieces with scores. In a BPE model the score is the merge order: of all neighbouring
pairs whose concatenation is a piece, the one with the highest score is merged first, the leftmost of equals.
"""

from pathlib import Path

import numpy
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.data.io.archives import is_archive, read_archive
from tapeout.errors import TapeoutError

WORD_MARK = "\N{LOWER ONE EIGHTH BLOCK}"
NORMAL = protocol.ModelProto.SentencePiece.NORMAL


class ModelFileMissing(TapeoutError):
    """The SentencePiece model is not in the fetched source."""


class UnsupportedModel(TapeoutError):
    """The base model is not one that merges can be continued on."""


def model_in_source(folder: Path, name: str) -> bytes:
    """Bytes of the file ``name`` of a fetched source: in its folder, or inside the one archive there (wheel, zip, tar).

    Raises:
        ModelFileMissing: there is no such file.
        BrokenArchive: the archive cannot be read.
    """
    if (folder / name).is_file():
        return (folder / name).read_bytes()
    archives = [path for path in sorted(folder.iterdir()) if path.is_file() and is_archive(path)]
    if len(archives) == 1:
        for _, content in read_archive(archives[0], lambda member, size: member == name):
            return content
    held = ", ".join(path.name for path in sorted(folder.iterdir())) or "nothing"
    raise ModelFileMissing(
        f"The source {folder.name} has no file {name}, neither beside nor inside its archive (it holds {held}).",
        "Set tokenizer.source to the source that holds the base tokenizer, and tokenizer.model_file to the model's "
        "path in that source's folder or inside its one archive.",
    )


def parse(model: bytes) -> protocol.ModelProto:
    """The model's protocol buffer.

    Raises:
        UnsupportedModel: it is not BPE with byte fallback and an identity normaliser; anything else would make the
            continued merges differ from what SentencePiece does, or lose text.
    """
    proto = protocol.ModelProto.FromString(model)
    bpe = proto.trainer_spec.model_type == protocol.TrainerSpec.BPE
    exact = proto.normalizer_spec.name == "identity" and not proto.normalizer_spec.remove_extra_whitespaces
    if not (bpe and exact and proto.trainer_spec.byte_fallback):
        raise UnsupportedModel(
            "The base tokenizer is not a SentencePiece BPE model with byte fallback and identity normalisation.",
            "Set tokenizer.model_file to such a model, for instance that of Llama 2 or Mistral 7B.",
        )
    return proto


def merge_ranks(proto: protocol.ModelProto) -> dict[str, int]:
    """Place of every normal piece in the merge order, 0 first; of equal scores the lower id first."""
    order = sorted(
        (index for index, piece in enumerate(proto.pieces) if piece.type == NORMAL),
        key=lambda index: (-proto.pieces[index].score, index),
    )
    return {proto.pieces[index].piece: rank for rank, index in enumerate(order)}


def extend(model: bytes, pieces: list[str]) -> bytes:
    """The model with ``pieces`` appended as normal pieces.

    Their scores go down from the lowest base score in the smallest steps that a 32-bit float has, so that every base
    merge is done before any new one and the new ones are done in the order given. (User-defined pieces would be
    matched before all merges, in any context: F16.)
    """
    proto = parse(model)
    score = min(numpy.float32(piece.score) for piece in proto.pieces)
    for piece in pieces:
        score = numpy.nextafter(score, numpy.float32("-inf"))
        proto.pieces.add(piece=piece, score=float(score), type=NORMAL)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    serialised: bytes = proto.SerializeToString(deterministic=True)
    return serialised


def processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    """SentencePiece itself for these bytes."""
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def processor_without_prefix(model: bytes) -> sentencepiece.SentencePieceProcessor:
    """As ``processor``, but a text gets no space before its first character.

    A piece is split into what it is made of, neither with a second word mark nor as if it began a word (F14).
    """
    proto = parse(model)
    proto.normalizer_spec.add_dummy_prefix = False
    return processor(proto.SerializeToString(deterministic=True))


def piece_text(piece: str) -> str:
    """The text that a piece stands for."""
    return piece.replace(WORD_MARK, " ")
