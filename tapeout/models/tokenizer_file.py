"""Location of the tokenizer in a model folder.

A module of its own, so that trainings do not depend on the code of the model families.
"""

from pathlib import Path

from tapeout.errors import TapeoutError


class NoTokenizer(TapeoutError):
    """A model folder has no tokenizer."""


def tokenizer_path(folder: Path) -> Path:
    """Return the path of the tokenizer in a Hugging Face folder or a NeMo-2 checkpoint folder.

    Raises:
        NoTokenizer: there is none.
    """
    for name in ("tokenizer.model", "context/nemo_tokenizer/tokenizer.model"):
        if (folder / name).is_file():
            return folder / name
    raise NoTokenizer(f"There is no tokenizer.model in {folder}.", "Give a model folder that one of the rules wrote.")
