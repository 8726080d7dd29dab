"""NeMo model of a Hugging Face folder, without its weights.

NeMo has an importer for each family. Some forget an option: tied embeddings, the width of a head, the context, three of
the four numbers of Llama 3.1's scaling, or the rows of a vocabulary that is no multiple of 128. This one makes the
model from the family's ``Architecture``. Saved with the weights of the family's table, it has the bytes that NeMo's
importers write wherever these are right.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

from nemo.collections.common.tokenizers.huggingface.auto_tokenizer import AutoTokenizer
from nemo.lightning.io import ModelConnector
from transformers import AutoTokenizer as HuggingFaceTokenizer

from tapeout.guard.folders import check_tokenizer
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, generation_of


class Importer(ModelConnector):  # type: ignore[misc]
    """The path of a Hugging Face folder, with NeMo's functions to set a model up and save it."""

    def init(self) -> Any:
        """Return NeMo's model with its tokenizer; ``nemo_setup`` gives it weights, which are not initialized.

        Raises:
            UnusableModel: see ``checked_config``.
        """
        folder = Path(self)
        family, config = family_of(folder), checked_config(folder)
        architecture, generation = family.architecture_of(config), generation_of(folder)
        return family.nemo_model(architecture, config.vocab_size, generation, self.tokenizer)

    @property
    def tokenizer(self) -> AutoTokenizer:
        """Return NeMo's tokenizer, from a copy of the folder's that no other process writes.

        Raises:
            UnusableModel: the settings of the tokenizer name code in the folder.
        """
        check_tokenizer(Path(self))
        staged = os.path.join(tempfile.mkdtemp(), "nemo_tokenizer")
        HuggingFaceTokenizer.from_pretrained(str(self), local_files_only=True).save_pretrained(staged)
        return AutoTokenizer(staged)
