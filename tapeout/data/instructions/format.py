"""The interface of a data format, and how a format is loaded by its name."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

from tapeout import plugins
from tapeout.config.instructions import FORMATS, FormatOptions
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row


class Format(Protocol):
    """A module that turns the records of a set into rows.

    A format whose sources are not record files also has ``read(folders, options, report)``, which yields the records
    instead of ``tapeout.data.instructions.reading.read_records``. ``ENVIRONMENT`` names the locked environment that
    the step runs in, ``corpus`` if it is missing.
    """

    Options: type[FormatOptions]

    def rows(self, records: Iterable[Record], options: Any, report: ImportReport) -> Iterator[Row]:
        """Yield the rows of the records; count in ``report`` what is read, changed and dropped.

        Raises:
            BadRow: a record cannot be used, and the options say stop (raised by ``report.reject``).
        """


def load_format(name: str) -> Format:
    """Import a format by its name in the configuration.

    Raises:
        UnknownPlugin, InvalidPlugin: see ``plugins.load``.
    """
    return cast(Format, plugins.load(FORMATS, name))
