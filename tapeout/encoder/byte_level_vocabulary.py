"""Byte-level BPE vocabularies with more pieces.

New ids follow all others, those of added tokens as well, so the rows of a model stay where they are. The library
numbers added tokens after the pieces of the model, unless the model has pieces of their names with the right ids; an
extended vocabulary therefore has such pieces, which no merge makes.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby

from tapeout.encoder import tokenizer_json
from tapeout.encoder.byte_level import ByteLevelEncoder, piece_bytes
from tapeout.encoder.extendable import Vocabulary

VISIBLE = {byte: visible for visible, byte in tokenizer_json.BYTES.items()}
"""The visible character of each byte."""
BATCH = 256
"""Texts that are encoded at once: each of their tokens takes some hundred bytes until it is counted."""


class ByteLevelVocabulary(Vocabulary):
    """A tokenizer.json."""

    separator = " "

    def __init__(self, content: bytes) -> None:
        """Load the content of a tokenizer.json that states the roles of its pieces.

        Raises:
            InvalidVocabulary: see ``ByteLevelEncoder``.
        """
        self.content = content
        self.encoder = self.byte_level = ByteLevelEncoder(content)
        document = tokenizer_json.parse(content)
        merges = tokenizer_json.merges(document)
        self.ranks = {self.separator.join(pair): rank for rank, pair in enumerate(merges)}
        self.reserved_names = [token["content"] for token in document["added_tokens"]]
        self.merges_of: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
        for merge, rank in self.ranks.items():
            self.merges_of[self.piece_of(merge)].append((merge, rank))

    def encode_parts(self, texts: Sequence[str], threads: int) -> Iterator[list[list[int]]]:
        """Yield the ids of each text, in the words into which the tokenizer splits it before it merges."""
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            for encoding in self.byte_level.tokenizer.encode_batch(batch, add_special_tokens=False):
                pairs = zip(encoding.word_ids, encoding.ids, strict=True)
                yield [[index for _, index in word] for _, word in groupby(pairs, key=lambda pair: pair[0])]

    def text_of(self, index: int) -> str | None:
        """Return the text of a piece; None for an added token and for a part of a character."""
        name = self.encoder.id_to_piece(index)
        added = name in self.encoder.control_pieces or name in self.encoder.added_pieces
        return None if added else self.spelling(name)

    def spelling(self, piece: str) -> str | None:
        """Return the text that the name of a piece spells; None if it has a part of a character."""
        try:
            return piece_bytes(piece).decode()
        except UnicodeDecodeError:
            return None

    def piece_name(self, text: str) -> str:
        """Return the name that a piece with this text has."""
        return "".join(VISIBLE[byte] for byte in text.encode())

    def with_merges(self, merges: Sequence[str]) -> "ByteLevelVocabulary":
        """Return the vocabulary with more pieces, after all others and merged after all others, in this order."""
        document = tokenizer_json.parse(self.content)
        model = document["model"]
        added = {token["content"]: token["id"] for token in document["added_tokens"]}
        new = {self.piece_of(merge): self.encoder.size + number for number, merge in enumerate(merges)}
        model["vocab"] = dict(sorted((model["vocab"] | added | new).items(), key=lambda entry: entry[1]))
        as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
        model["merges"] += [merge if as_text else merge.split(self.separator) for merge in merges]
        return ByteLevelVocabulary(tokenizer_json.dump(document))

    def split(self, piece: str) -> list[int]:
        """Return the ids into which the merges join the bytes of a piece."""
        return [token.id for token in self.byte_level.tokenizer.model.tokenize(piece)]

    def describe(self, index: int) -> tuple[str, str, tuple[tuple[str, int], ...]]:
        """Return the name of a piece, its kind, and the merges that make it with their ranks."""
        name = self.encoder.id_to_piece(index)
        kind = "control" if name in self.encoder.control_pieces else "ordinary"
        kind = "added" if name in self.encoder.added_pieces else kind
        return name, kind, tuple(self.merges_of.get(name, ()))
