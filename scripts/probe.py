"""Record the versions that programs import in their environment, and fail if one is not the expected one."""

import argparse
import json
import sys
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.nemo.probe import probe


def main() -> None:
    """Write ``probe.json``. Not through typer as elsewhere: whether it is there is among the questions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, required=True, help="parameters, JSON: packages, versions by package")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    options = parser.parse_args()
    try:
        found = probe(json.loads(options.params.read_bytes())["packages"])
    except TapeoutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None
    options.output.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
