"""``tapeout serve`` and ``tapeout chat`` as commands: names, errors, and one answer of each."""

import json
import select
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.identity.environment import read_environment
from tests.cli.conftest import call
from tests.graph.conftest import Project

ROOT = Path(__file__).parents[2]
SECONDS = 120.0


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model as an export has it."""
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    python = ROOT / read_environment("serve", ROOT).folder / "bin" / "python"
    command = [python, "-m", "tests.serve.material", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    return folder


def with_environment(project: Project) -> Project:
    """Give a project the environment of this one."""
    environment = read_environment("serve", ROOT)
    shutil.copy(ROOT / "envs/serve.lock", project.path("envs/serve.lock"))
    project.path(f".envs/{environment.folder.name}").symlink_to(ROOT / environment.folder)
    return project


def refused(project: Project, *arguments: str) -> str:
    code, _, errors = call(project, *arguments)
    assert code == 3, errors
    return " ".join(errors.split())


def start(project: Project, *arguments: str, **streams: Any) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tapeout.cli", *arguments]
    return subprocess.Popen(command, cwd=project.root, env=project.variables(), **streams)


def test_options_that_contradict(project: Project) -> None:
    assert "asks for no password" in refused(project, "serve", "model", "--host", "0.0.0.0")
    assert "no effect at 127.0.0.1" in refused(project, "serve", "model", "--allow-network")
    assert "No model is named" in refused(project, "chat")
    assert "named twice" in refused(project, "chat", "model", "--compare", "other,model")
    assert "no effect at temperature 0" in refused(project, "chat", "model", "--seed", "1")
    assert "no effect with --complete" in refused(project, "chat", "model", "--complete", "--system", "x")
    assert "leaves no token" in refused(project, "chat", "model", "--temperature", "1", "--top-p", "0")
    code, _, errors = call(project, "chat", "model", "--temperature", "1", "--seed", str(2**63))
    assert code == 2 and "less than or equal to 9223372036854775807" in " ".join(errors.split())


def test_an_environment_that_is_not_installed(project: Project) -> None:
    assert "There is no lock envs/serve.lock" in refused(project, "serve", "model")
    shutil.copy(ROOT / "envs/serve.lock", project.path("envs/serve.lock"))
    for command in ("serve", "chat"):
        message = refused(project, command, "model")
        assert "The environment serve is not installed. fix: Run: make environments ADD=serve" in message


def test_names(built: Project) -> None:
    project = with_environment(built)
    assert "There is no artifact or rule mdel; did you mean model?" in refused(project, "serve", "mdel")
    assert "model is not a model that can be served" in refused(project, "serve", "model")
    assert "raw.txt is not a model that can be served" in refused(project, "chat", "raw.txt")
    assert "There is no file or folder ./nothing" in refused(project, "serve", "./nothing")
    assert "There is no run old" in refused(project, "serve", "model@old")
    digest = project.digests()["model"]
    assert f"{digest[:12]} is not a model that can be served" in refused(project, "serve", digest[:12])
    assert list(project.path("work").glob("tapeout-serve-*")) == []
    project.path("results/model.manifest.json").unlink()
    assert refused(project, "serve", "model").endswith("Artifact model has not been built. fix: Run: snakemake model")
    for name in ("a.yaml", "b c.yaml"):
        project.path(name).write_text("{}")
    given = ("--configfile", "a.yaml", "--configfile=b c.yaml")
    expected = "fix: Run: snakemake model --configfile a.yaml 'b c.yaml'"
    assert refused(project, "chat", "model", *given).endswith(expected)


def test_a_folder_is_served_and_a_signal_ends_it(project: Project, exported: Path, tmp_path: Path) -> None:
    with_environment(project)
    code, text, _ = call(project, "serve", str(exported), "--check")
    assert code == 0 and f"a model in {exported}, with its own chat template" in text
    before = sorted(project.root.rglob("*"))
    with open(tmp_path / "log", "wb") as log:
        process = start(project, "serve", str(exported), "--port", "0", stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None and select.select([process.stdout], [], [], SECONDS)[0]
        address = process.stdout.readline().decode().split()[-1]
        assert address.startswith("http://127.0.0.1:")
        body = {"messages": [{"role": "user", "content": "What is a mux?"}], "max_tokens": 3}
        request = urllib.request.Request(
            f"{address}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as response:
            assert json.loads(response.read())["usage"]["completion_tokens"] == 3
        port = address.rsplit(":", 1)[1].removesuffix("/v1")
        assert "cannot be used: address already in use" in refused(project, "serve", str(exported), "--port", port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close() if process.stdout is not None else None
    assert sorted(project.root.rglob("*")) == before


def test_a_question_from_a_pipe(project: Project, exported: Path) -> None:
    with_environment(project)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start(project, "chat", f"{exported}", "--json", "--max-tokens", "3", **pipes)
    output, errors = process.communicate(b"What is a mux?\n", SECONDS)
    assert (process.returncode, errors) == (0, b"")
    value = json.loads(output)
    assert (value["model"], value["tokens"], len(value["ids"])) == (str(exported), 3, 3)
