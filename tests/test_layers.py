"""Who may import whom: every import points down (docs/architecture.md)."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = {
    "cli": {"graph", "slurm", "config", "compare", "provenance", "report"},
    "costs": {"models", "sources", "config"},
    "provenance": {"compare", "graph", "config"},
    "compare": {"graph", "config"},
    "report": {"inspection", "evals", "data", "encoder", "config"},
    "inspection": {"tokenizer", "data", "encoder", "config"},
    "evals": {"train", "nemo", "models", "tokenizer", "data", "encoder", "config"},
    "train": {"nemo", "models", "tokenizer", "data", "encoder", "config"},
    "nemo": {"models", "tokenizer", "data", "encoder", "config"},
    "models": {"tokenizer", "data", "encoder", "config"},
    "tokenizer": {"data", "encoder", "config"},
    "data": {"sources", "encoder", "config"},
    "encoder": set(),
    "sources": {"config"},
    "config": set(),
    "graph": {"slurm"},
    "slurm": set(),
}
GROUND = {"errors", "progress", "program", "plugins"}


def imported(path: Path) -> set[str]:
    """Second-level names of the project's modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names |= {module.split(".")[1] for module in modules if module.startswith("tapeout.")}
    return names


def test_every_import_points_down() -> None:
    assert {path.parent.name for path in (ROOT / "tapeout").glob("*/__init__.py")} == set(FLOORS)
    for package, below in FLOORS.items():
        for path in sorted((ROOT / "tapeout" / package).rglob("*.py")):
            assert imported(path) <= below | GROUND | {package}, path


def test_packages_import_nothing_by_themselves() -> None:
    families = set((ROOT / "tapeout" / "models").glob("*/__init__.py"))  # each is a model family, loaded by name
    for path in sorted(set((ROOT / "tapeout").rglob("__init__.py")) - families):
        assert len(ast.parse(path.read_bytes()).body) == 1, f"{path}: only a docstring, or every step behind it changes"


def test_scripts_know_nothing_of_the_graph_and_every_rule_has_one() -> None:
    for path in sorted((ROOT / "scripts").glob("*.py")):
        assert "graph" not in imported(path), path
    named = {line.split('"')[1] for path in ROOT.glob("rules/*.smk") for line in path.open() if "build(" in line}
    assert named == {f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")}
