"""Write the JSON schema of the configuration: ``python -m tapeout.config.schema config/schema.json``."""

import json
import sys
from pathlib import Path

from tapeout.config.root import Settings


def schema() -> str:
    """Return the schema as text.

    In a config file the key ``sources`` is the path of a sources file; the schema describes the content of that file.
    """
    return json.dumps(Settings.model_json_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(schema())
