"""Layers of the packages: every import points down (docs/architecture.md)."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
FLOORS = {
    "cli": {"guard", "graph", "slurm", "config", "compare", "provenance", "report", "tracking"},
    "costs": {"models", "sources", "config"},
    "provenance": {"guard", "compare", "graph", "config"},
    "compare": {"guard", "graph", "config"},
    "report": {"inspection", "evals", "data", "encoder", "config"},
    "serve": {"retrieval", "deploy", "guard", "nemo", "models", "data", "encoder", "config"},
    "deploy": {"evals", "guard", "nemo", "models", "data", "encoder", "config"},
    "retrieval": {"guard", "evals", "models", "data", "encoder", "config"},
    "inspection": {"tokenizer", "data", "encoder", "config"},
    "evals": {"simulation", "guard", "train", "nemo", "models", "tokenizer", "data", "encoder", "config"},
    "train": {"guard", "nemo", "models", "tokenizer", "data", "encoder", "config"},
    "nemo": {"guard", "models", "tokenizer", "data", "encoder", "config"},
    "models": {"guard", "tokenizer", "data", "encoder", "config"},
    "tokenizer": {"data", "encoder", "config"},
    "data": {"sources", "encoder", "config"},
    "simulation": {"config"},
    "encoder": set(),
    "sources": {"config"},
    "config": set(),
    "guard": set(),
    "graph": {"slurm"},
    "slurm": set(),
    "tracking": set(),
}
GROUND = {"combinations", "errors", "namespaces", "progress", "program", "plugins", "streams", "visible"}
GRAPH = (
    *(
        "variants",
        "layer",
        "cluster",
        "request",
        "rules",
        "upkeep",
        "address",
        "named_runs",
        "run",
        "plan",
        "workspace",
        "remote",
        "store",
    ),
    *(
        "launch",
        "configuration",
        "identity",
        "paths",
        "bookkeeping",
        "files",
        "deletion",
        "disk_space",
        "locks",
        "console",
        "errors",
    ),
)
"""Parts of the build graph, top to bottom: each may import those after it."""


def modules(path: Path, for_types: bool = True) -> set[str]:
    """Return the dotted names of all modules, and of names in modules, that a file imports (also only for types)."""
    names: set[str] = set()
    tree = ast.parse(path.read_bytes())
    if not for_types:
        tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if TYPE_CHECKING")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def imported(path: Path) -> set[str]:
    """Second-level names of the project's modules that a file imports."""
    return {module.split(".")[1] for module in modules(path) if module.startswith("tapeout.")}


def test_every_import_points_down() -> None:
    assert {path.parent.name for path in (ROOT / "tapeout").glob("*/__init__.py")} == set(FLOORS)
    for package, below in FLOORS.items():
        for path in sorted((ROOT / "tapeout" / package).rglob("*.py")):
            assert imported(path) <= below | GROUND | {package}, path


def test_every_import_inside_the_graph_points_down() -> None:
    below = {part: set(GRAPH[index:]) for index, part in enumerate(GRAPH)}
    parts = {path.stem if path.is_file() else path.name for path in (ROOT / "tapeout/graph").glob("[!_]*")}
    assert parts == set(GRAPH)
    for path in sorted((ROOT / "tapeout/graph").rglob("*.py")):
        part = path.relative_to(ROOT / "tapeout/graph").parts[0].removesuffix(".py")
        used = {module.split(".")[2] for module in modules(path) if module.startswith("tapeout.graph.")}
        assert part == "__init__" or used <= below[part], path


def test_modules_import_each_other_in_no_cycle() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "tapeout").rglob("*.py")
    }
    graph = {
        name: {module for module in modules(path, for_types=False) if module in names} - {name}
        for name, path in names.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the modules


def test_packages_import_nothing_by_themselves() -> None:
    families = set((ROOT / "tapeout" / "models").glob("*/__init__.py"))  # each is a model family, loaded by name
    for path in sorted(set((ROOT / "tapeout").rglob("__init__.py")) - families):
        assert len(ast.parse(path.read_bytes()).body) == 1, f"{path}: only a docstring, or every step behind it changes"


def test_scripts_know_nothing_of_the_graph_and_every_rule_has_one() -> None:
    for path in sorted((ROOT / "scripts").glob("*.py")):
        assert "graph" not in imported(path), path
    named = {line.split('"')[1] for path in ROOT.glob("rules/*.smk") for line in path.open() if "build(" in line}
    assert named == {f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py")}
