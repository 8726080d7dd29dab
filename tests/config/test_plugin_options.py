"""Names of plugins in the configuration: one that leads to no implementation is named, with its key."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tapeout import plugins
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig

ROOT = Path(__file__).parents[2]
SEAMS = {
    "format": "instructions",
    "task": "evaluation",
    "method": "methods",
    "family": "base",
    "base kind": "base",
    "kind": "sources",
}
NAMES = ["nosuch", "", "..x", "../x", "a..b", "a b.c", "os.path", "json.decoder", "tests.toys", "tests.small_tokenizer"]


def config(seam: str, name: Any, folder: Path) -> dict[str, Any]:
    """Return the default configuration with one more plugin."""
    (folder / "sources.yaml").write_text(yaml.safe_dump({"far": {"kind": name, "licence": "MIT"}}))
    changes: dict[str, dict[str, Any]] = {
        "format": {"instructions": {"sets": {"questions": {"format": name}}, "train": ["questions"]}},
        "task": {"evaluation": {"tasks": {name: {}}}},
        "method": {"methods": {name: {}}},
        "family": {"base": {"family": name}},
        "base kind": {"base": {"kind": name}},
        "kind": {"sources": ["config/sources.yaml", str(folder / "sources.yaml")]},
    }
    return {**yaml.safe_load((ROOT / "config/default.yaml").read_text()), **changes[seam]}


@pytest.mark.parametrize("seam", SEAMS)
@pytest.mark.parametrize("name", [*NAMES, 3, None])
def test_name_without_an_implementation_is_an_error_of_its_key(
    seam: str, name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(InvalidConfig) as raised:
        load(config(seam, name, tmp_path))
    assert SEAMS[seam] in raised.value.cause
    assert not isinstance(name, str) or name in raised.value.cause


@pytest.mark.parametrize("seam", SEAMS)
def test_implementation_of_another_seam_is_an_error_of_its_key(
    seam: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    other = "tests.toys.toy_task" if seam != "task" else "tests.toys.toy_method"
    with pytest.raises(InvalidConfig, match=other.replace(".", r"\.")) as raised:
        load(config(seam, other, tmp_path))
    assert SEAMS[seam] in raised.value.cause


@pytest.mark.parametrize("seam", SEAMS)
def test_plugin_that_cannot_be_imported_is_an_error_of_its_key(
    seam: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_plugin = plugins.load

    def broken(seam: str, name: str) -> ModuleType:
        if name != "my.plugin":
            return load_plugin(seam, name)
        raise plugins.InvalidPlugin("The module my.plugin cannot be imported: invalid syntax.", "Correct it.")

    monkeypatch.chdir(ROOT)
    changed = config(seam, "my.plugin", tmp_path)
    monkeypatch.setattr(plugins, "load", broken)
    with pytest.raises(InvalidConfig, match=r"my\.plugin cannot be imported"):
        load(changed)
