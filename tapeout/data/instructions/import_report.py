"""What of a source cannot be used: an error that names the row, or a count by reason, as the configuration says."""

from collections import Counter
from typing import Any, Literal, Self

from tapeout.errors import TapeoutError

SHOWN = 5
"""Places that the report names for each reason."""


class BrokenFile(TapeoutError):
    """A file as a whole cannot be read; no policy about rows applies."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}.", "Get the file again or repair it; nothing was skipped.")
        self.given = (file, reason)

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        return type(self), self.given  # it comes from another process


class BadRow(TapeoutError):
    """A row cannot be used.

    Args:
        file: path in the source.
        place: line, record or item.
        reason: what is wrong, in the words under which it is counted.
        detail: more of it, for people.
    """

    def __init__(self, file: str, place: str, reason: str, detail: str = "") -> None:
        super().__init__(
            f"{file}, {place}: {reason}{f' ({detail})' if detail else ''}.",
            "Correct the row, or under imported.rows the format and the fields of this source, or set bad_rows: drop "
            "for it, which leaves such rows out and counts them.",
        )
        self.given = (file, place, reason, detail)
        self.place = f"{file}, {place}"
        self.reason = reason

    def __reduce__(self) -> tuple[type[Self], tuple[str, ...]]:
        return type(self), self.given  # it comes from another process


class NoRows(TapeoutError):
    """Nothing is left of a source."""

    def __init__(self, source: str, dropped: Counter[str]) -> None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
        super().__init__(
            f"Source {source} gives no row (left out: {reasons or 'its files are empty'}).",
            "Look at its files, its format and its options in the config section imported.",
        )


class EmptySide(TapeoutError):
    """No row fell to a side that was to have some."""

    def __init__(self, source: str, side: str, clusters: int) -> None:
        super().__init__(
            f"Source {source} has {clusters} groups of rows (each stays on one side of the split), and the seed put "
            f"none of them on the side {side}.",
            "Set split: {counts: exact} for it under imported.rows, which suits small sources, or "
            f"split: {{{side}: 0}} if that side is to be empty.",
        )


class Account:
    """Counts of what was read and left out.

    Attributes:
        read: things that were read, by what they are.
        dropped: things that were left out, by reason; never in silence.
        changed: texts that were changed, by what was done.
        places: the first places of each reason.
    """

    def __init__(self, bad_rows: Literal["stop", "drop"]) -> None:
        self.bad_rows = bad_rows
        self.read: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}

    def bad(self, error: BadRow) -> None:
        """A row cannot be used.

        Raises:
            BadRow: the configuration says so.
        """
        if self.bad_rows == "stop":
            raise error
        self.drop(error.reason, error.place)

    def drop(self, reason: str, place: str | None = None, count: int = 1) -> None:
        """Something is left out because the configuration says so, or because it is blank."""
        self.dropped[reason] += count
        places = self.places.setdefault(reason, [])
        if place is not None and len(places) < SHOWN:
            places.append(place)

    def add(self, other: "Account") -> None:
        """What was counted of a later part of the source."""
        self.read.update(other.read)
        self.changed.update(other.changed)
        for reason, count in other.dropped.items():
            self.drop(reason, None, count)
            places = self.places[reason]
            places += other.places[reason][: SHOWN - len(places)]

    def report(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "read": dict(self.read),
            "dropped": {
                reason: {"count": count, "first": self.places.get(reason, [])} for reason, count in self.dropped.items()
            },
            "changed": dict(self.changed),
        }
