"""Only the guard reads what can run code: no other module imports or calls the readers of pickles and archives."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUARD = ROOT / "tapeout/guard"
MODULES = {
    *("pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"),
    *("tarfile", "zipfile", "fiddle", "hydra", "omegaconf", "nemo_run"),
}
"""Modules whose readers execute or extract what a file contains."""
NAMES = {
    *("FileSystemReader", "load_context", "nemo_load", "restore_from", "AutoResume", "unpack_archive", "read_pickle"),
    *("import_ckpt", "export_ckpt", "load_from_checkpoint", "trust_remote_code", "allow_pickle", "instantiate"),
    *("unsafe_load", "full_load", "UnsafeLoader", "FullLoader", "Unpickler", "load_common_state_dict"),
}
"""Functions, classes and options that do so, wherever they come from."""
CALLS = {"torch.load", "torch.jit.load", "torch.hub.load", "yaml.load", "yaml.load_all", "eval", "exec", "compile"}
EXCEPTIONS = {
    "tapeout/nemo/archive.py": {"tarfile": "writes archives"},
    "tapeout/nemo/canonical.py": {"pickle": "writes the index, which the guard has read"},
    "tapeout/provenance/folder.py": {"tarfile": "writes archives"},
    "tapeout/data/io/archives.py": {
        "tarfile": "reads text from the archives of sources; writes nothing to disk",
        "zipfile": "reads text from the archives of sources; writes nothing to disk",
    },
    "tapeout/models/base_checkpoint.py": {"torch.load": "own state of a running step; weights_only"},
    "tapeout/train/checkpoint_store.py": {"torch.load": "own state of a running step, by SHA-256; weights_only"},
    "tapeout/train/trainer.py": {
        "load_context": "after check_checkpoint",
        "AutoResume": "after check_checkpoint",
    },
    "tapeout/deploy/huggingface.py": {"nemo_load": "after check_checkpoint"},
    "tapeout/nemo/nemo1.py": {"load_context": "after check_checkpoint"},
    "tapeout/evals/harness_tasks.py": {"zipfile": "names the error of a damaged archive"},
    "tapeout/deploy/nemo1_archive.py": {"restore_from": "reads back the archive that the step has just written"},
}
"""Other uses, each with its reason."""


def uses(path: Path) -> Iterator[str]:
    """Yield what a file uses of the three lists."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (
                {alias.name.split(".")[0] for alias in node.names} | {alias.name for alias in node.names}
            ) & MODULES
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").split(".")[0]} & MODULES
            yield from {alias.name for alias in node.names} & (NAMES | MODULES)
            yield from {f"{node.module}.{alias.name}" for alias in node.names} & CALLS
        elif isinstance(node, ast.Attribute):
            yield from {node.attr} & NAMES
            yield from {ast.unparse(node)} & CALLS
        elif isinstance(node, ast.Name):
            yield from {node.id} & (NAMES | CALLS)
        elif isinstance(node, ast.keyword):
            yield from {node.arg or ""} & NAMES


def test_only_the_guard_reads_what_can_run_code() -> None:
    found: dict[str, set[str]] = {}
    for folder in ("tapeout", "scripts", "bin"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.is_relative_to(GUARD) and (used := set(uses(path))):
                found[path.relative_to(ROOT).as_posix()] = used
    assert found == {name: set(reasons) for name, reasons in EXCEPTIONS.items()}


def test_exceptions_that_rest_on_a_check_have_it_before() -> None:
    for name, reasons in EXCEPTIONS.items():
        text = (ROOT / name).read_text()
        for word, reason in reasons.items():
            if reason.startswith("after "):
                assert 0 < text.index(f"    {reason.removeprefix('after ')}(") < text.index(f"{word}("), name
            if "weights_only" in reason:
                assert text.count("torch.load(") == text.count("weights_only=True") == 1, name
            if reason.startswith("writes"):
                assert "extract" not in text and "pickle.load" not in text and 'open(archive, "r' not in text, name


def test_the_scan_finds_every_way_in(tmp_path: Path) -> None:
    lines = {
        "import pickle": "pickle",
        "from pickle import loads": "pickle",
        "import fiddle._src.config": "fiddle",
        "from torch import load": "torch.load",
        "torch.load(path)": "torch.load",
        "from torch.distributed.checkpoint import FileSystemReader as R": "FileSystemReader",
        "nl.io.load_context(path)": "load_context",
        "shutil.unpack_archive(a, b)": "unpack_archive",
        "yaml.load(text, Loader)": "yaml.load",
        "yaml.unsafe_load(text)": "unsafe_load",
        "AutoModel.from_pretrained(x, trust_remote_code=True)": "trust_remote_code",
        "numpy.load(x, allow_pickle=True)": "allow_pickle",
        "hydra.utils.instantiate(x)": "instantiate",
        "eval(text)": "eval",
    }
    for line, word in lines.items():
        (tmp_path / "module.py").write_text(line)
        assert word in set(uses(tmp_path / "module.py")), line
