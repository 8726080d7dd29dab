"""The way of the ChipNeMo paper: a tokenizer of the domain is trained, and what the base vocabulary lacks is added.

The published code matches the new pieces before all merges, in any context. Here each is made by merges after those of
the base vocabulary, from the parts into which the base vocabulary splits it. The steps in between are pieces too, and
count as rows.

Source: arXiv 2311.00176, section III-A.
"""

import re

from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.library import trained_pieces
from tapeout.tokenizer.merges import Growth, NewPiece
from tapeout.tokenizer.method import Material
from tapeout.tokenizer.segmentation import merged

LETTER = re.compile("[a-zA-Z]")


def choose(material: Material) -> list[NewPiece]:
    """Add all pieces of the domain's tokenizer within the limits, then only those that are used most.

    Of equally frequent pieces the smaller string comes first. Uses are counted with all of them, over all texts.

    Raises:
        InvalidVocabulary: there are too few pieces.
    """
    growth = material.growth()
    for text in domain_pieces(material):
        add_piece(growth, material.base.piece_name(text), rows=None)
    uses = growth.domain.uses()
    ranked = sorted((new.piece for new in growth.pieces), key=lambda piece: (-uses[piece], piece))
    rows = material.selected([uses[piece] for piece in ranked][: material.job.new_pieces])
    growth = material.growth()
    for piece in ranked:
        add_piece(growth, piece, rows - len(growth.pieces))
    return growth.pieces


def domain_pieces(material: Material) -> list[str]:
    """Return the texts of the pieces of a tokenizer that is trained on the domain text, the most frequent first.

    It is a byte-level BPE with half as many merges as the base vocabulary has pieces. Pieces without a letter, and
    those that are part of a character, are left out.
    """
    texts = sorted(text for texts in material.domain.values() for text in texts)
    counts = trained_pieces(texts, material.base.encoder.size // 2)
    decoded = {content.decode(errors="replace"): count for content, count in counts.items()}
    usable = [text for text in decoded if LETTER.search(text) and "\N{REPLACEMENT CHARACTER}" not in text]
    return sorted(usable, key=lambda text: (-decoded[text], text))


def add_piece(growth: Growth, piece: str, rows: int | None) -> None:
    """Append the merges that make a piece, as far as they are within the limits.

    Args:
        growth: the merges so far.
        piece: name of the piece.
        rows: maximum number of merges; if the piece needs more, none is appended. None for any number.
    """
    base: Vocabulary = growth.base
    word = merged(tuple(growth.merges.names[index] for index in base.split(piece)), growth.merges)
    if rows is not None and len(word) - 1 > rows:
        return
    while len(word) > 1:
        merge = word[0] + base.separator + word[1]
        if not (growth.may_become(merge) and growth.is_of_the_domain(merge) and growth.holds_together(merge)):
            return
        growth.add(merge)
        word = merged(word, growth.merges)
