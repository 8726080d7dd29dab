"""Initial rows of new pieces, each as a mixture of old rows, by the name that the configuration gives the method.

A method is a function of the two vocabularies. It sees no weights: the same mixtures hold for the input and the output
layer, in any type of numbers, and depend on no rounding.
"""

from collections.abc import Callable

from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.focus import similar_pieces
from tapeout.tokenizer.surgery import Mixture, parts_of_new_pieces


def mean(base: Vocabulary, extended: Vocabulary) -> list[Mixture]:
    """Mix the parts of each piece equally, as ChipNeMo (arXiv 2311.00176) and Gee et al. (arXiv 2402.09977) do."""
    return [Mixture(parts, [1.0] * len(parts)) for parts in parts_of_new_pieces(base, extended)]


def weighted_mean(base: Vocabulary, extended: Vocabulary) -> list[Mixture]:
    """Mix the parts of each piece by their UTF-8 bytes; a part without a text of its own counts as one byte.

    `` regi`` + ``s`` then resembles its stem more than its last letter. The weighting is this project's own.
    """
    texts = [base.text_of(index) for index in range(base.encoder.size)]
    sizes = [float(len(text.encode())) if text else 1.0 for text in texts]
    return [Mixture(parts, [sizes[index] for index in parts]) for parts in parts_of_new_pieces(base, extended)]


def zero(base: Vocabulary, extended: Vocabulary) -> list[Mixture]:
    """Mix nothing: rows of zeros, as in the output layer of ChipNeMo (arXiv 2311.00176, section 3.1)."""
    return [Mixture((), ())] * len(parts_of_new_pieces(base, extended))


INITIAL_ROWS: dict[str, Callable[[Vocabulary, Vocabulary], list[Mixture]]] = {
    "mean": mean,
    "weighted-mean": weighted_mean,
    "zero": zero,
    "focus": similar_pieces,
}
