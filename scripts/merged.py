"""Add an adapter to the weights of its model."""

import shutil
from pathlib import Path

from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.program import step


@step()
def main(model: Path, adapter: Path, output: Path) -> None:
    """Write a Hugging Face folder with the tokenizer of the model and the prompt template of the adapter.

    Inputs:
        model: Hugging Face folder of the model that the adapter was trained on.
        adapter: folder of the adapter, in PEFT's layout.
    """
    from tapeout.models.adapter import merge_adapter
    from tapeout.models.base_training import make_deterministic

    make_deterministic(threads=1)
    merge_adapter(model, adapter, output)
    shutil.copyfile(adapter / TEMPLATE_FILE, output / TEMPLATE_FILE)


if __name__ == "__main__":
    main()
