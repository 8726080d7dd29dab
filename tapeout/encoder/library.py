"""The library ``tokenizers`` as it encodes by itself, without the rules of the project's encoders."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from tapeout.encoder.byte_level import piece_bytes
from tapeout.encoder.tokenizer_json import BYTES

BATCH = 256
"""Texts that are encoded at once."""


def library_ids(content: str, texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield the ids of each text by the content of a tokenizer.json, without special tokens."""
    yield from _encoded(Tokenizer.from_str(content), texts)


def trained_pieces(texts: Sequence[str], merges: int) -> dict[bytes, int]:
    """Train a byte-level BPE tokenizer on texts; return the occurrences of each of its pieces in them.

    The library trains on all cores, with the same result for any number.
    """
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    size = len(BYTES) + merges
    trainer = BpeTrainer(vocab_size=size, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    counts = Counter(index for ids in _encoded(tokenizer, texts) for index in ids)
    return {piece_bytes(tokenizer.id_to_token(index)): count for index, count in counts.items()}


def _encoded(tokenizer: Tokenizer, texts: Sequence[str]) -> Iterator[list[int]]:
    for start in range(0, len(texts), BATCH):
        for encoding in tokenizer.encode_batch_fast(texts[start : start + BATCH], add_special_tokens=False):
            yield encoding.ids
