"""Environments: locks, digests, and installations that are complete or not used."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidEnvironment
from tapeout.graph.identity.environment import find_installed, install, read_environment


def make_wheel(folder: Path, text: str) -> str:
    """Write a small real wheel; returns its SHA-256."""
    path = folder / "tiny_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny_package.py", text)
        wheel.writestr(
            "tiny_package-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.0\n"
        )
        wheel.writestr(
            "tiny_package-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("tiny_package-1.0.dist-info/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lock of one package; pip finds only its wheel."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    (tmp_path / "envs").mkdir()
    digest = make_wheel(tmp_path, "VALUE = 1\n")
    (tmp_path / "envs" / "tiny.lock").write_text(f"tiny_package==1.0 \\\n    --hash=sha256:{digest}\n")
    return tmp_path


def test_a_lock_and_a_mark_that_are_no_text(folder: Path) -> None:
    environment = read_environment("tiny", folder)
    environment.folder.mkdir(parents=True)
    for mark in (b"\xff", environment.digest.encode()):  # the second is that of versions without a listing
        (environment.folder / "complete").write_bytes(mark)
        assert not environment.complete
    (folder / "envs/tiny.lock").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InvalidEnvironment, match="not one package, its version and hashes"):
        read_environment("tiny", folder)


def test_complete_installation_is_reused(folder: Path) -> None:
    environment = read_environment("tiny")
    with pytest.raises(InvalidEnvironment, match="make environments"):
        environment.require()
    install(environment, [])
    environment.require()
    marked = (environment.folder / "complete").stat().st_mtime_ns
    install(environment, [])
    assert (environment.folder / "complete").stat().st_mtime_ns == marked


def test_a_new_installation_does_not_contain_the_path_of_the_project(folder: Path) -> None:
    environment = read_environment("tiny")
    install(environment, [])
    for path in (environment.folder / "pyvenv.cfg", *(environment.folder / "bin").glob("*ctivate*")):
        assert str(folder) not in path.read_text(), path
    done = subprocess.run([environment.python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert done.stdout == f"{environment.folder.absolute()}\n"


def test_incomplete_installation_is_replaced(folder: Path) -> None:
    environment = read_environment("tiny")
    environment.folder.mkdir(parents=True)
    (environment.folder / "leftover").touch()
    assert not environment.complete
    install(environment, [])
    assert environment.complete and not (environment.folder / "leftover").exists()


def test_a_changed_installation_is_named_and_installed_again_by_two_at_once(folder: Path) -> None:
    environment = read_environment("tiny")
    install(environment, [])
    module = environment.folder / "lib/python3.11/site-packages/tiny_package.py"
    module.write_text("VALUE = 3\n")
    install(environment, [])
    assert module.read_text() == "VALUE = 3\n"  # compared only on request
    command = [sys.executable, "-m", "tapeout.graph.identity.environment", "--check", "tiny"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    started = [subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    messages = "".join(process.communicate(timeout=300)[1] for process in started)
    assert [process.returncode for process in started] == [0, 0]
    assert messages.count("tiny_package.py was edited") == messages.count("installing tiny") == 1
    environment.check_files()
    assert module.read_text() == "VALUE = 1\n"


def test_the_installation_of_another_interpreter_is_found_but_not_used(folder: Path) -> None:
    own, other = read_environment("tiny"), read_environment("tiny", interpreter="3.11.0 (other, Oct 24 2022)")
    assert own.digest != other.digest and own.interpreter == " ".join(sys.version.split())
    assert find_installed("tiny") == own
    install(other, [])
    assert find_installed("tiny") == other and not own.complete
    install(own, [])
    assert find_installed("tiny") == own
    (folder / "envs/tiny.lock").write_text(f"tiny_package==1.1 --hash=sha256:{'a' * 64}\n")
    assert find_installed("tiny") == read_environment("tiny")  # neither is of this lock


def test_interrupted_installation_leaves_no_process(folder: Path) -> None:
    environment, module = read_environment("tiny"), "tapeout.graph.identity.environment"
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # pip waits for its answer
        index = f"--index-url http://127.0.0.1:{silent.getsockname()[1]}"
        variables = {name: value for name, value in variables.items() if name not in ("PIP_NO_INDEX", "PIP_FIND_LINKS")}
        command = [sys.executable, "-m", module, "tiny", "--pip", index]
        process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True, start_new_session=True)
        connection, _ = silent.accept()
        process.terminate()
        text = process.communicate(timeout=60)[1]
        assert process.returncode == 128 + signal.SIGTERM and "Resume by running the same command." in text
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
        connection.close()
    assert not environment.complete


def test_file_with_wrong_hash_is_refused(folder: Path) -> None:
    make_wheel(folder, "VALUE = 2\n")
    environment = read_environment("tiny")
    with pytest.raises(InvalidEnvironment):
        install(environment, [])
    assert not environment.complete


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# why\ntiny_package==1.0 --hash=sha256:{a}\n\n", True),
        ("tiny-package==1.0 \\\n  --hash=sha256:{a}  # via nobody\n", True),
        ("tiny_package==1.1 --hash=sha256:{a}\n", False),
        ("tiny_package==1.0 --hash=sha256:{b}\n", False),
        ("tiny_package==1.0 --hash=sha256:{a} --hash=sha256:{b}\n", False),
    ],
)
def test_digest_covers_only_versions_and_hashes(tmp_path: Path, text: str, same: bool) -> None:
    digests = []
    for number, content in enumerate(["tiny_package==1.0 --hash=sha256:{a}\n", text]):
        (tmp_path / str(number) / "envs").mkdir(parents=True)
        lock = tmp_path / str(number) / "envs" / "x.lock"
        lock.write_text(content.format(a="a" * 64, b="b" * 64))
        digests.append(read_environment("x", tmp_path / str(number)).digest)
    assert (digests[0] == digests[1]) == same


@pytest.mark.parametrize("text", ["six>=1\n", "six==1.0\n", "-r other.txt\n"])
def test_lock_without_versions_or_hashes_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "x.lock").write_text(text)
    with pytest.raises(InvalidEnvironment):
        read_environment("x", tmp_path)


def test_models_are_loaded_for_lm_eval_as_for_other_tasks() -> None:
    nemo, own = (read_environment(name).packages for name in ("nemo", "lm_eval"))
    shared = nemo.keys() & own.keys()
    assert {"torch", "transformers", "tokenizers", "sentencepiece", "numpy"} <= shared
    assert [(name, own[name]) for name in shared] == [(name, nemo[name]) for name in shared]


def test_locks_of_the_project_are_valid() -> None:
    for name in ("workflow", "dev", "data", "corpus", "nemo", "nemo-cuda", "peft", "lm_eval"):
        assert read_environment(name).packages
