"""Location of the tokenizer in a model folder.

A separate module, so that training runs do not depend on the code of the model families.
"""

from pathlib import Path

from tapeout.encoder.load import TOKENIZER_FILES, tokenizer_file
from tapeout.guard.errors import UnusableModel as UnusableModel


def tokenizer_path(folder: Path) -> Path:
    """Return the path of the tokenizer in a Hugging Face folder or a NeMo-2 checkpoint folder.

    Raises:
        UnusableModel: the folder has no tokenizer.
    """
    found = tokenizer_file(folder) or tokenizer_file(folder / "context" / "nemo_tokenizer")
    if found is None:
        raise UnusableModel(
            f"There is no {' or '.join(TOKENIZER_FILES)} in {folder}.",
            "Give a model folder that one of the rules wrote.",
        )
    return found
