"""One store of several users: writers build for all, readers restore, and nobody can damage it unnoticed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.graph.conftest import ALL, Project, Run

GROUP = 12000

# only root can run programs as other users; without setpriv these tests fail and are not skipped
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as two other users")


@dataclass
class User:
    """A user of the machine, with a copy of the project."""

    uid: int
    umask: int
    project: Project

    def command(self, *arguments: str) -> list[str]:
        """Return a command that runs as this user, who may read all files, because Python may be in root's home."""
        capability = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", f"--groups={GROUP}", *capability, *arguments]

    def does(self, *arguments: str, **variables: str) -> Run:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.project.root,
            env={**self.project.variables(), "HOME": str(self.project.root), "USER": f"u{self.uid}", **variables},
            umask=self.umask,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Run(done.returncode, done.stdout + done.stderr)

    def run(self, **variables: str) -> Run:
        return self.does(*self.project.command(), **variables)


@pytest.fixture
def users(project: Project, tmp_path: Path) -> list[User]:
    """Two users of one group with an unsuitable umask."""
    found = []
    for number, umask in enumerate((0o022, 0o077)):
        root = tmp_path / f"user{number}"
        shutil.copytree(project.root, root, symlinks=True)
        subprocess.run(["chown", "-R", f"{12001 + number}:{12001 + number}", root], check=True)
        found.append(User(12001 + number, umask, Project(root)))
    return found


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder that the group may write."""
    path = tmp_path / "store"
    path.mkdir()
    os.chown(path, 12001, GROUP)
    path.chmod(0o2775)
    return path


def test_users_of_a_group_share_results_safely(users: list[User], store: Path) -> None:
    ann, bob = users
    at = {"TAPEOUT_STORE": str(store)}
    first = ann.run(**at)
    assert first.built == ALL, first.text
    second = bob.run(**at)
    assert second.status == 0 and second.built == [], second.text
    assert bob.project.digests() == ann.project.digests()
    # each restores what the other builds
    bob.project.edit("config.yaml", "lr: 1", "lr: 5")
    assert bob.run(**at).built == ["model", "report.txt"]
    ann.project.edit("config.yaml", "lr: 1", "lr: 5")
    assert ann.run(**at).built == []
    for path in store.rglob("*"):
        info = path.stat()
        assert info.st_mode & (0o040 if info.st_gid == GROUP else 0o004), f"{path} cannot be read"
        assert not path.is_dir() or (info.st_gid == GROUP and info.st_mode & 0o020), f"{path} cannot be written"
    # a sealed file is read-only for all, and a user's results are his own files
    sealed = next(path for path in sorted((store / "objects").rglob("*")) if path.is_file())
    assert bob.does("sh", "-c", f"echo wrong > {sealed}").status != 0
    mine = bob.project.path("results/raw.txt")
    assert mine.stat().st_uid == bob.uid
    # a user who may write the folder can replace a file; that is detected
    weights = ann.project.path("results/model/weights.txt").read_bytes()
    [model] = [path for path in store.glob("objects/*/*") if path.read_bytes() == weights]
    wrong = f"cp {model} {model}.new && chmod u+w {model}.new && echo x > {model}.new && mv -f {model}.new {model}"
    assert bob.does("sh", "-c", wrong).status == 0
    shutil.rmtree(ann.project.path("results"))
    again = ann.run(**at)
    assert again.built == ["model"], again.text
    assert ann.project.path("results/model/weights.txt").read_bytes() == weights


def test_read_only_store_restores_and_refuses_to_build(users: list[User], store: Path) -> None:
    ann, bob = users
    os.chown(store, ann.uid, ann.uid)
    store.chmod(0o755)
    assert ann.run(TAPEOUT_STORE=str(store)).built == ALL
    restored = bob.run(TAPEOUT_STORE=str(store))
    assert restored.status == 0 and restored.built == [], restored.text
    bob.project.edit("config.yaml", "lr: 1", "lr: 5")
    refused = bob.run(TAPEOUT_STORE=str(store))
    assert refused.status != 0 and "NotWritable" in refused.text and "TAPEOUT_REMOTE" in refused.text
    assert "Traceback" not in refused.text
    # read as a remote, in addition to the user's own store
    shutil.rmtree(bob.project.path("results"))
    built = bob.run(TAPEOUT_REMOTE=f"file://{store}")
    assert built.built == ["model", "report.txt"], built.text
    assert "4 of them from the remote" in " ".join(built.text.split())
    remote = {"TAPEOUT_REMOTE": f"file://{store}", "TAPEOUT_REMOTE_MODE": "read-write"}
    pushed = bob.does(sys.executable, "-m", "tapeout.cli", "push", **remote)
    assert pushed.status == 3 and "RemoteRefused" in pushed.text and "cannot be written" in pushed.text
