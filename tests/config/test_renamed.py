"""Outdated configuration keys: the error names the new key."""

from pathlib import Path

import pytest
import yaml

from tapeout.config import renamed
from tapeout.config.root import load
from tapeout.config.yaml_files import InvalidConfig

ROOT = Path(__file__).parents[2]


def test_every_outdated_key_is_named_with_its_successor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    table = {
        "dapt.stepz": "dapt.max_steps",
        "imported.rows.*.longest": "instructions.sets.*.max_row_bytes",
        "extra": "this section was removed",
    }
    monkeypatch.setattr(renamed, "RENAMED", table)
    config = {"dapt": {"stepz": 3}, "imported": {"rows": {"dolly": {"longest": 1}}}, "extra": {"a": 1}}
    with pytest.raises(InvalidConfig, match="fix: ") as error:
        load({**yaml.safe_load((ROOT / "config" / "default.yaml").read_text()), **config})
    for message in (
        "dapt.stepz is now dapt.max_steps",
        "imported.rows.dolly.longest is now instructions.sets.dolly.max_row_bytes",
        "extra: this section was removed",
    ):
        assert message in error.value.cause
