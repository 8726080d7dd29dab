"""Counts of what a step read, changed and dropped, and the errors about rows that cannot be used."""

from collections import Counter
from typing import Any, Literal

from tapeout.data.errors import BadRow

MAX_EXAMPLES = 5
"""Locations that the report names for each reason."""
MAX_NAME_CHARACTERS = 40
MAX_IGNORED = 100
"""Names of ignored fields that are counted one by one."""


class ImportReport:
    """Counts of what was read, changed and dropped while a set was made.

    Attributes:
        bad_rows: whether a bad row stops the step or is dropped.
        read: number of items read, by kind.
        dropped: number of items dropped, by reason.
        changed: number of changes, by kind.
        locations: the first locations for each reason.
    """

    def __init__(self, bad_rows: Literal["stop", "drop"]) -> None:
        """Start with no counts."""
        self.bad_rows = bad_rows
        self.read: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.locations: dict[str, list[str]] = {}

    def reject(self, error: BadRow) -> None:
        """Count a bad row.

        Raises:
            BadRow: the option ``bad_rows`` is ``stop``.
        """
        if self.bad_rows == "stop":
            raise error
        self.drop(error.reason, error.location)

    def drop(self, reason: str, location: str | None = None, count: int = 1) -> None:
        """Count something that is dropped because an option says so, or because it is blank."""
        self.dropped[reason] += count
        locations = self.locations.setdefault(reason, [])
        if location is not None and location not in locations and len(locations) < MAX_EXAMPLES:
            locations.append(location)

    def ignore(self, field: str) -> None:
        """Count a field that a format does not read."""
        key = f"ignored field {field[:MAX_NAME_CHARACTERS]!r}"
        if key not in self.changed and sum(name.startswith("ignored field ") for name in self.changed) >= MAX_IGNORED:
            key = "ignored fields of other names"
        self.changed[key] += 1

    def add(self, other: "ImportReport") -> None:
        """Add the counts of a later part of the set."""
        self.read.update(other.read)
        self.changed.update(other.changed)
        for reason, count in other.dropped.items():
            self.drop(reason, None, count)
            locations = self.locations[reason]
            locations += other.locations[reason][: MAX_EXAMPLES - len(locations)]

    def as_json(self) -> dict[str, Any]:
        """Return all counts."""
        dropped = {reason: {"count": count, "first": self.locations[reason]} for reason, count in self.dropped.items()}
        return {"read": dict(self.read), "dropped": dropped, "changed": dict(self.changed)}

    def summary(self) -> str:
        """Return the reasons for drops in one line."""
        return ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
