"""Location of the tokenizer in a model folder.

A separate module, so that training runs do not depend on the code of the model families.
"""

from pathlib import Path

from tapeout.errors import TapeoutError


class UnusableModel(TapeoutError):
    """A model folder, checkpoint or archive is damaged, incomplete, unsafe, or of no known family."""


def tokenizer_path(folder: Path) -> Path:
    """Return the path of the tokenizer in a Hugging Face folder or a NeMo-2 checkpoint folder.

    Raises:
        UnusableModel: the folder has no tokenizer.
    """
    for name in ("tokenizer.model", "context/nemo_tokenizer/tokenizer.model"):
        if (folder / name).is_file():
            return folder / name
    raise UnusableModel(f"There is no tokenizer.model in {folder}.", "Give a model folder that one of the rules wrote.")
