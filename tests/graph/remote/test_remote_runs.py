"""Snakemake runs with a remote store: one user builds and pushes, others restore."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.graph.conftest import ALL, Project, begin_slow_model
from tests.graph.remote.remotes import *  # noqa: F403 - fixtures
from tests.graph.remote.remotes import RemoteServer
from tests.graph.remote.servers import listening, proxy_to


@pytest.fixture
def other(project: Project, tmp_path: Path) -> Project:
    """The same project in another folder."""
    found = Project(tmp_path / "other")
    shutil.copytree(project.root, found.root, symlinks=True)
    return found


def use(monkeypatch: pytest.MonkeyPatch, server: RemoteServer, mode: str) -> None:
    for name, value in {"TAPEOUT_REMOTE": server.url, "TAPEOUT_REMOTE_MODE": mode, **server.variables}.items():
        monkeypatch.setenv(name, value)


def tapeout(project: Project, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tapeout.cli", *arguments]
    return subprocess.run(command, cwd=project.root, env=project.variables(), capture_output=True, text=True)


def pushed(server: RemoteServer) -> list[str]:
    """Return the artifacts of which the remote has an entry."""
    entries = [json.loads(server.get(name)) for name in server.names() if name.startswith("actions/")]
    return sorted(entry["entry"]["action"]["artifact"] for entry in entries)


def test_one_user_builds_and_another_restores(project: Project, other: Project, s3: RemoteServer, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    assert project.run().built == ALL  # before there was a remote
    use(monkeypatch, s3, "read-write")
    printed = tapeout(project, "push")
    assert printed.returncode == 0 and "6 pushed; 125 B sent." in printed.stdout, printed
    assert pushed(s3) == ALL
    first = project.digests()
    project.edit("config.yaml", "lr: 1", "lr: 5")
    assert project.run().built == ["model", "report.txt"]
    assert pushed(s3) == sorted([*ALL, "model", "report.txt"])
    use(monkeypatch, s3, "read-only")
    assert s3.proxy is not None
    # a dry run shows the plan that a run would have, and fetches nothing
    plan = " ".join(other.run("-n").text.split())
    assert "6 restored, 6 of them from the remote" in plan and "nothing to do" in plan
    assert sorted(path.name for path in other.path("results").iterdir()) == [".graph"]
    assert not other.path("store").exists()
    run = other.run()
    assert run.built == [] and run.nothing_done
    assert other.digests() == first
    # changed, and changed back: the remote has the first, and is not asked for the second
    other.edit("config.yaml", "lr: 1", "lr: 5")
    assert other.run().nothing_done and other.digests() == project.digests()
    other.edit("config.yaml", "lr: 5", "lr: 1")
    before = s3.proxy.down
    assert other.run().nothing_done and other.digests() == first
    assert s3.proxy.down == before


def test_action_resolved_during_a_run_is_restored_in_that_run(
    project: Project, other: Project, file: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, file, "read-write")
    project.run()
    other.edit("scripts/raw.py", "\n_, params", "\nX = 1\n_, params")  # the same bytes from another action
    run = other.run()
    assert run.built == ["raw.txt"]
    assert run.restored == ["formatted.txt", "model", "report.txt"]
    assert run.text.count("restored from the remote") == 3
    assert other.digests() == project.digests()
    assert pushed(file) == sorted([*ALL, "raw.txt"])


def test_damaged_remote_file_is_rebuilt_and_replaced(
    project: Project, other: Project, file: RemoteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, file, "read-write")
    project.run()
    weights = json.loads(project.path("results/model.manifest.json").read_bytes())["files"][-1]["digest"]
    key = f"objects/{weights[:2]}/{weights}"
    right = file.get(key)
    file.put(key, bytes(len(right)))
    run = other.run()
    assert run.built == ["model"] and "report.txt" in run.restored
    assert f"! model: {key} in the remote" in run.text
    assert other.digests() == project.digests()
    assert file.get(key) == right


def test_objects_lost_locally_are_pulled(project: Project, file: RemoteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, file, "read-write")
    project.run()
    first = project.digests()
    for path in [*project.path("store/objects").rglob("*"), project.path("results/model/weights.txt")]:
        if path.is_file():
            path.unlink()
    shutil.rmtree(project.path("results"))
    assert project.run().nothing_done
    assert project.digests() == first


def test_unavailable_remote_costs_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as upstream, proxy_to(upstream.getsockname()[1]) as (proxy, port):
        proxy.last = -1  # connections are never answered
        monkeypatch.setenv("TAPEOUT_REMOTE", f"ssh://ann:sesame@127.0.0.1:{port}/far")
        monkeypatch.setenv("TAPEOUT_REMOTE_MODE", "read-write")
        run = project.run()
    assert run.built == ALL
    [line] = [line for line in run.text.splitlines() if line.startswith("!")]
    assert line.startswith(f"! The remote ssh://ann@127.0.0.1:{port}/far is not available")
    assert "sesame" not in run.text and "Traceback" not in run.text
    assert len(list(project.path("store/owed").glob("*/*"))) == len(ALL)


def test_program_does_not_see_the_remote(project: Project, file: RemoteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, file, "read-write")
    monkeypatch.setenv("FSSPEC_S3_SECRET", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    project.edit("scripts/notes.py", "output.write_text(", 'import os\noutput.write_text(f"{sorted(os.environ)}" + ')
    project.run("results/.graph/notes/en.txt.sealed")
    seen = project.path("results/notes/en.txt").read_text()
    assert "PATH" in seen and not any(word in seen for word in ("REMOTE", "FSSPEC", "AWS"))


@pytest.fixture
def stopped(project: Project, s3: RemoteServer, monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[str]"]:
    """A run whose push of the model is paused in the middle of a file."""
    project.run()  # before there was a remote; the model is built again for it
    use(monkeypatch, s3, "read-write")
    assert s3.proxy is not None
    s3.proxy.cut_up, s3.proxy.cuts, s3.proxy.pause = 1_000_000, 1000, True
    project.edit("scripts/model.py", "output.mkdir()", 'output.mkdir()\n(output / "big").write_bytes(bytes(2_000_000))')
    process = begin_slow_model(project)
    yield process
    process.communicate()


def test_next_run_finishes_a_killed_push(
    project: Project, other: Project, s3: RemoteServer, stopped: "subprocess.Popen[str]"
) -> None:
    assert s3.proxy is not None and s3.proxy.paused.wait(60)
    os.killpg(stopped.pid, signal.SIGKILL)
    s3.proxy.cuts = 0
    assert "model" not in pushed(s3)
    run = project.run()
    assert "✓ model  already in the store" in run.text  # Snakemake runs it again, because the job did not end
    assert pushed(s3) == ["model"] and list(project.path("store/owed").glob("*/*")) == []
    other.edit("scripts/model.py", "output.mkdir()", 'output.mkdir()\n(output / "big").write_bytes(bytes(2_000_000))')
    other.edit("config.yaml", "pause: 0", "pause: 3")
    assert "model" not in other.run().built
    assert other.digests() == project.digests()
