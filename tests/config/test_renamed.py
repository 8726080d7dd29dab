"""Outdated configuration keys: the error names the new key."""

from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel, SerializeAsAny

from tapeout.config import renamed
from tapeout.config.base import BaseKind
from tapeout.config.bases import tiny
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.config.site import Site

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


@pytest.mark.parametrize("value", [{}, None, 3])
def test_an_outdated_section_without_keys_is_named(value: Any) -> None:
    config = {"imported": value, "instructions": {"raw": value}}
    assert renamed.renamed(config) == [
        "imported is now instructions.sets",
        "instructions.raw is now instructions.sets.rtl",
    ]


def exists(model: Any, path: list[str]) -> bool:
    """Return whether a dotted key leads to a field; sections of plugins are not followed."""
    if not path:
        return True
    if get_origin(model) is dict:
        return exists(get_args(model)[1], path[1:])
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return True
    field = model.model_fields.get(path[0])
    if field is not None and field.annotation is BaseKind:
        return exists(tiny.Base, path[1:])  # no other kind has ever had other keys
    if field is None or any(isinstance(mark, SerializeAsAny) for mark in field.metadata):
        return field is not None
    forms = get_args(field.annotation) if get_origin(field.annotation) is UnionType else (field.annotation,)
    return any(exists(form, path[1:]) for form in forms if form is not type(None))


@pytest.mark.parametrize(("old", "new"), renamed.RENAMED.items())
def test_a_successor_exists_and_its_old_name_does_not(old: str, new: str) -> None:
    root: Any = Site if old.startswith("site.") else Settings

    def path(key: str) -> list[str]:
        return key.removeprefix("site.").replace("*", "domain").split(".")

    assert not exists(root, path(old))
    names = old.split(".")
    sections = {".".join(names[:count]) for count in range(1, len(names))}
    assert not sections or exists(root, path(".".join(names[:-1]))) or sections & renamed.RENAMED.keys()
    assert " " in new or exists(root, path(new))
