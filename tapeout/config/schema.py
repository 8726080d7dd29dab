"""Write the JSON schema of the configuration: ``python -m tapeout.config.schema config/schema.json``."""

import json
import sys
from pathlib import Path

from tapeout.config.root import Settings


def schema() -> str:
    """The schema as text; in the config file the key ``sources`` is a path, the records are in that file."""
    return json.dumps(Settings.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema())
