"""Form of the rules: small files, one order of keys, one script of the same name for each rule."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob("rules/*.smk"))
ORDER = (
    *("input", "output", "wildcard_constraints", "params", "resources", "threads", "localrule"),
    *("log", "conda", "container", "shell"),
)


def rules(file: Path) -> dict[str, list[str]]:
    """Return the keys of each rule, in their order, by the name of the rule."""
    found: dict[str, list[str]] = {}
    indent = name = ""
    for line in file.read_text().splitlines():
        if match := re.fullmatch(r"( *)rule (\w+):", line):
            indent, name = match.groups()
            found[name] = []
        elif name and (key := re.match(rf"{indent}    (\w+):", line)):
            found[name].append(key[1])
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_keys_have_one_order(file: Path) -> None:
    for name, keys in rules(file).items():
        assert keys == [key for key in ORDER if key in keys], name


def test_files_are_small() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80
    assert all(len(file.read_text().splitlines()) <= 150 for file in FILES)


def test_a_rule_file_defines_rules_and_no_globals() -> None:
    for file in (file for file in FILES if file.name not in ("combination.smk", "graph.smk")):  # they include others
        outside = [line for line in file.read_text().splitlines() if re.match(r"\S", line)]
        assert all(re.match(r"(rule \w+:|if .*:|#)", line) for line in outside), file


def test_each_rule_runs_the_script_of_its_name() -> None:
    for file in FILES:
        text = file.read_text()
        blocks = re.split(r"^ *rule (\w+):$", text, flags=re.MULTILINE)[1:]
        for name, body in zip(blocks[::2], blocks[1::2], strict=True):
            assert re.findall(r'build\("(.*)"\)', body) in ([], [f"scripts/{name}.py"])


def test_a_log_has_the_name_of_its_artifact() -> None:
    text = "".join(file.read_text() for file in FILES) + (ROOT / "docs" / "extending.md").read_text()
    sealed = re.findall(r'sealed\("(.*)"\)', text)
    assert sealed and re.findall(r'"logs/(.*)\.log"', text) == sealed


def test_the_paths_in_the_architecture_page_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"`((?:rules|scripts|tapeout|tests)/[^`]+)`", text)
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []
    for name, file in re.findall(r"`(\w+)`, `(rules/\w+\.smk)`", text):
        assert f"rule {name}:" in (ROOT / file).read_text()


def test_lists_of_artifacts_are_functions() -> None:
    """An artifact of a variant is known only when all rules are read, and Snakemake takes no functions in lists."""
    assert [file.name for file in FILES if re.search(r"=\s*\[\s*artifact\(", file.read_text())] == []
