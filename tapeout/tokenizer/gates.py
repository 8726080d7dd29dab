"""What must hold for an extended vocabulary before anything is trained with it (F25)."""

import hashlib
from dataclasses import asdict, dataclass

from tapeout.encoder.sentencepiece import PieceFacts, SentencePieceEncoder
from tapeout.errors import TapeoutError


class BasePieceChanged(TapeoutError):
    """A piece of the base model has another id, text, score or kind in the extended one."""


class VocabularySizeNotMultiple(TapeoutError):
    """The vocabulary would be padded with rows that no token has."""


class RoundTripBroken(TapeoutError):
    """Decoding what was encoded does not give the text back."""


class DomainTokensNotLower(TapeoutError):
    """The extension saves nothing on domain text."""


class GeneralTokensChanged(TapeoutError):
    """The extension changes how general text is cut by more than allowed."""


@dataclass(frozen=True)
class Efficiency:
    """Tokens of a test corpus with the base and the extended model; special tokens are not counted."""

    documents: int
    bytes: int
    tokens_before: int
    tokens_after: int

    @property
    def change(self) -> float:
        """Relative change of the number of tokens."""
        return self.tokens_after / self.tokens_before - 1

    def as_dict(self) -> dict[str, float]:
        """All figures, tokens per UTF-8 byte among them."""
        return asdict(self) | {
            "tokens_per_byte_before": self.tokens_before / self.bytes,
            "tokens_per_byte_after": self.tokens_after / self.bytes,
            "change": self.change,
        }


def measure(base: SentencePieceEncoder, extended: SentencePieceEncoder, texts: list[str], threads: int) -> Efficiency:
    """Count the tokens of ``texts`` before and after the extension."""
    before, after = count_tokens(base, texts, threads), count_tokens(extended, texts, threads)
    return Efficiency(len(texts), sum(len(text.encode()) for text in texts), before, after)


def count_tokens(model: SentencePieceEncoder, texts: list[str], threads: int) -> int:
    """Pieces of all texts together."""
    return sum(len(ids) for ids in model.encode_batch(texts, threads))


def check_base_pieces(base: SentencePieceEncoder, extended: SentencePieceEncoder) -> None:
    """Raise ``BasePieceChanged`` unless the extended model begins with exactly the base model's pieces."""
    for index in range(base.size):
        before, after = described(base, index), described(extended, index)
        if before != after:
            raise BasePieceChanged(
                f"Piece {index} is {before} in the base model and {after} in the extended one.",
                "Only append pieces; every trained row of the model hangs on its id.",
            )


def described(model: SentencePieceEncoder, index: int) -> PieceFacts | None:
    """Text, score and kind of a piece; None beyond the end."""
    if index >= model.size:
        return None
    return model.describe(index)


def check_size(extended: SentencePieceEncoder, multiple: int) -> None:
    """Raise ``VocabularySizeNotMultiple`` unless the vocabulary divides evenly (F20, F21)."""
    size = extended.size
    if size % multiple:
        raise VocabularySizeNotMultiple(
            f"The extended vocabulary has {size} pieces, not a multiple of {multiple}.",
            f"Add {multiple - size % multiple} to tokenizer.new_pieces, or subtract {size % multiple}.",
        )


def check_round_trip(
    base: SentencePieceEncoder, extended: SentencePieceEncoder, texts: list[str], samples: int
) -> dict[str, int]:
    """Decode encoded documents back; a sample that depends on the documents' content only.

    A text that the base model does not give back either (one that holds SentencePiece's own word mark) says nothing
    about the extension: it is counted, not judged.

    Returns:
        numbers of documents checked and of those that the base model itself changes.

    Raises:
        RoundTripBroken: the extended model loses what the base model keeps.
    """
    chosen = sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:samples]
    beyond_base = 0
    for text in chosen:
        if base.decode(base.encode(text)) != text:
            beyond_base += 1
        elif extended.decode(extended.encode(text)) != text:
            raise RoundTripBroken(
                f"A document of {len(text)} characters is not given back; it begins with {text[:60]!r}.",
                "Look at the new pieces in the tokenizer's report; none may hold unusual white space.",
            )
    return {"documents": len(chosen), "changed_by_base": beyond_base}


def check_efficiency(domain: Efficiency, general: Efficiency, largest_change: float) -> None:
    """Raise ``DomainTokensNotLower`` or ``GeneralTokensChanged`` when the extension does not do what it is for."""
    if domain.tokens_after >= domain.tokens_before:
        raise DomainTokensNotLower(
            f"The domain test text has {domain.tokens_after} tokens after the extension and "
            f"{domain.tokens_before} before.",
            "Train the extension on text that is more like the test text.",
        )
    if abs(general.change) > largest_change:
        raise GeneralTokensChanged(
            f"The token count of the general test text changes by {general.change:+.2%}, more than "
            f"{largest_change:.2%}.",
            "Lower tokenizer.general_rate, so that pieces common in general text are left out.",
        )
