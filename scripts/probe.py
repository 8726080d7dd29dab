"""Record the versions of the packages that steps with NeMo import, and fail if one is not the expected one."""

import json
from pathlib import Path
from typing import Any

from tapeout.nemo.probe import probe
from tapeout.program import step


@step(dict)
def main(job: dict[str, Any], output: Path) -> None:
    """Write the versions by package as JSON; needs the standard library alone, because packages may be missing."""
    versions = probe(job["packages"])
    output.write_text(json.dumps(versions, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
