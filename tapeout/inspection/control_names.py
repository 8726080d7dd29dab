"""Names of control tokens in texts.

To the encoders such a name is plain text (docs/formats.md). It may still be unwanted: a text that was rendered by
another model's chat template, or one that starts another turn where a server encodes names as control tokens.
"""

import re
from collections.abc import Mapping
from typing import Any

from tapeout.data.encode.chat import MARKS
from tapeout.encoder.interface import Encoder
from tapeout.inspection.rows import text_of

COMMON = (
    *("<s>", "</s>", "<unk>", "<pad>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|system|>", "<|user|>", "<|assistant|>"),
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *(text for marks in MARKS.values() for text in (marks.system, marks.turn, marks.label)),
)
"""Control tokens of well-known models and marks of conversations, which are counted whatever the tokenizer."""


class ControlNames:
    """Search for the names of control tokens: those of a tokenizer, and those of well-known models."""

    def __init__(self, encoder: Encoder) -> None:
        """Prepare the search."""
        names = {*COMMON, *encoder.control_pieces, *encoder.added_pieces}
        self.pattern = re.compile("|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name)))))

    def of(self, row: Mapping[str, Any]) -> set[str]:
        """Return the names in the texts of a row; one that is a control character is written as its code."""
        found = {*self.pattern.findall(text_of(row)), *self.pattern.findall(str(row.get("system", "")))}
        return {
            name if name.isprintable() else " ".join(f"U+{ord(character):04X}" for character in name) for name in found
        }
