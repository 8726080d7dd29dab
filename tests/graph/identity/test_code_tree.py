"""Trees of code: exactly the digested files, without what their digest does not cover."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.errors import InputChanged
from tapeout.graph.identity.code import closure, digest_tree, parse
from tapeout.graph.identity.code_tree import LISTING, complete, materialise, original_lines
from tapeout.graph.identity.manifest import EPOCH

ROOT = Path(__file__).resolve().parents[3]
FILES = {
    "scripts/step.py": '"""A step."""\n\nfrom pkg import leaf  # why\n\n\ndef f():\n    """Only this."""\n\n\n'
    "print(leaf.x)\n",
    "pkg/__init__.py": "",
    "pkg/leaf.py": "# a remark\nx = 1\n",
    "pkg/words.txt": "one two\n",
    "pkg/unused.py": "y = 1\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "project"


def test_a_tree_has_the_digested_files_and_nothing_else(project: Path, tmp_path: Path) -> None:
    code = closure(project / "scripts/step.py", project)
    tree = materialise(code, project, tmp_path / "trees")
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert {name for name in names if "__pycache__" not in name} == set(code) == set(FILES) - {"pkg/unused.py"}
    assert (tree / "pkg/words.txt").read_text() == "one two\n"
    text = (tree / "scripts/step.py").read_text()
    assert "A step" not in text and "why" not in text and "Only" not in text and "pass" in text
    assert all(path.stat().st_mode & 0o222 == 0 for path in [tree, *tree.rglob("*")])
    done = subprocess.run(
        [sys.executable, "-S", tree / "scripts/step.py"], env={"PYTHONPATH": str(tree)}, capture_output=True, text=True
    )
    assert done.stdout == "1\n", done.stderr


def test_the_text_is_a_function_of_the_digest(project: Path, tmp_path: Path) -> None:
    """An edit that does not change the digest does not change the tree, line numbers included."""
    code = closure(project / "scripts/step.py", project)
    tree = materialise(code, project, tmp_path / "trees")
    script = project / "scripts/step.py"
    script.write_text("# new\n\n" + script.read_text().replace("print(leaf.x)", "print(\n    leaf.x  # it\n)"))
    assert closure(script, project) == code
    other = materialise(code, project, tmp_path / "others")
    assert (other / "scripts/step.py").read_bytes() == (tree / "scripts/step.py").read_bytes()


def test_every_module_of_this_project_can_be_written(tmp_path: Path) -> None:
    names = [
        path.relative_to(ROOT).as_posix() for folder in ("tapeout", "scripts") for path in (ROOT / folder).rglob("*.py")
    ]
    originals = {name: parse((ROOT / name).read_bytes(), Path(name)) for name in names}
    code = {name: digest_tree(original, Path(name)) for name, original in originals.items()}
    tree = materialise(code, ROOT, tmp_path / "trees")
    for name, original in originals.items():
        again = parse((tree / name).read_bytes(), Path(name))
        complete(original)  # an empty body has become pass
        assert digest_tree(again, tree) == digest_tree(original, tree), name


@pytest.mark.parametrize("damage", ["change", "add", "remove", "byte code", "link", "listing"])
def test_a_damaged_tree_is_written_again(project: Path, tmp_path: Path, damage: str) -> None:
    code = closure(project / "scripts/step.py", project)
    tree = materialise(code, project, tmp_path / "trees")
    leaf = tree / "pkg/leaf.py"
    compiled = next(tree.glob("pkg/__pycache__/leaf*.pyc"))
    before = compiled.read_bytes()
    for folder in (tree, tree / "pkg", tree / "pkg/__pycache__"):
        folder.chmod(0o755)
    match damage:
        case "change":
            leaf.chmod(0o644)
            leaf.write_text("x = 2\n")
        case "byte code":
            compiled.chmod(0o644)
            compiled.write_bytes(compiled.read_bytes().replace(b"x", b"y"))
        case "add":
            (tree / "sitecustomize.py").write_text("x = 2\n")
        case "remove":
            leaf.unlink()
        case "link":
            leaf.unlink()
            leaf.symlink_to(project / "pkg/leaf.py")
        case "listing":
            (tree.parent / LISTING).write_text("{")
    assert materialise(code, project, tmp_path / "trees") == tree
    assert leaf.read_text() == "x = 1\n" and not leaf.is_symlink() and not (tree / "sitecustomize.py").exists()
    assert damage != "byte code" or compiled.read_bytes() == before


def test_modes_and_times_are_the_same_in_every_tree(project: Path, tmp_path: Path) -> None:
    code = closure(project / "scripts/step.py", project)
    for number, umask in enumerate((0o077, 0o002, 0o002)):
        before = os.umask(umask)
        try:
            tree = materialise(code, project, tmp_path / str(min(number, 1)))
        finally:
            os.umask(before)
        states = {
            (path.is_dir(), oct(path.stat().st_mode), path.stat().st_mtime_ns) for path in [tree, *tree.rglob("*")]
        }
        assert states == {(True, "0o40555", EPOCH * 10**9), (False, "0o100444", EPOCH * 10**9)}
        for name in ("pkg", "pkg/leaf.py"):
            (tree / name).chmod(0o700)
            os.utime(tree / name)


def test_byte_code_does_not_depend_on_how_this_process_runs(project: Path, tmp_path: Path) -> None:
    (project / "pkg/leaf.py").write_text("x = 'debug' if __debug__ else 'optimized'\n")
    write = (
        "import sys; from pathlib import Path; from tapeout.graph.identity.code import closure\n"
        "from tapeout.graph.identity.code_tree import materialise\n"
        "root = Path(sys.argv[1]); print(materialise(closure(root / 'scripts/step.py', root), root, Path(sys.argv[2])))"
    )
    command = [sys.executable, "-OO", "-c", write, str(project), str(tmp_path / "trees")]
    written = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    tree = written.stdout.strip()
    done = subprocess.run(
        [sys.executable, "-S", f"{tree}/scripts/step.py"], env={"PYTHONPATH": tree}, capture_output=True, text=True
    )
    assert done.stdout == "debug\n"


def test_a_snapshot_outlives_edits_but_is_not_made_of_them(project: Path, tmp_path: Path) -> None:
    code = closure(project / "scripts/step.py", project)
    tree = materialise(code, project, tmp_path / "trees")
    (project / "pkg/leaf.py").write_text("x = 2\n")
    assert materialise(code, project, tmp_path / "trees") == tree
    with pytest.raises(InputChanged, match=r"pkg/leaf\.py was edited"):
        materialise(code, project, tmp_path / "others")
    assert not list((tmp_path / "others").glob("[!.]*"))


def test_lines_of_the_original(project: Path) -> None:
    text = (
        '# one\nimport os\n\n\n@property\ndef f(a,\n      b):\n    """Two."""\n'
        "    return (\n        a +\n        b\n    )\n"
    )
    script = project / "scripts/step.py"
    script.write_text(text)
    shown = ast.unparse(parse(script.read_bytes(), script)).splitlines()
    found = original_lines(script.read_bytes())
    numbers = {line: found[shown.index(line) + 1] for line in ("import os", "@property", "    return a + b")}
    assert numbers == {"import os": 2, "@property": 5, "    return a + b": 9}
