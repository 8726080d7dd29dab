"""``tapeout runs`` and ``tapeout gc`` on the small project, as a user calls them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

from tests.cli.conftest import as_json, call
from tests.graph.conftest import ALL, Project


def test_a_named_run_outlives_later_results(built: Project) -> None:
    first = built.digests()
    code, result = as_json(built, "runs", "save", "before")
    assert code == 0 and sorted(result["artifacts"]) == ALL and not result["stale"] + result["missing"]
    assert as_json(built, "why", "model", "--against", "before")[0] == 0
    built.path("my.yaml").write_text("model: {lr: 5}")
    code, result = as_json(built, "runs", "save", "before", "--configfile", "my.yaml")  # the same results, stale for it
    assert code == 1 and result["stale"] == ["model", "report.txt"]
    built.run("--configfile", "my.yaml", "--config", "note=/dev/null", "--", "report", "notes/fr.txt")
    assert call(built, "runs", "save", "before")[0] == 3  # the name belongs to other results
    code, result = as_json(built, "why", "model")  # with the configuration of the last run
    device = os.path.relpath("/dev/null", built.root)
    assert code == 0 and result["configuration"]["name"] == f"my.yaml with note={device}"
    code, result = as_json(built, "why", "report.txt", "--against", "before")
    assert code == 1 and [cause["artifact"] for cause in result["origins"]] == ["model"]
    assert result["origins"][0]["changes"] == [{"kind": "parameter", "name": "lr", "old": 1, "new": 5}]
    _, (run,) = as_json(built, "runs", "list")
    assert run["differing"] == ["model", "report.txt"] and list(run["ends"]) == ["report.txt"]
    assert 0 < run["own_size"] < run["size"] and run["ends"]["report.txt"] == first["report.txt"]
    assert "2 differ" in call(built, "runs", "list")[1]
    assert as_json(built, "runs", "protect", "before")[1][0]["pinned"]
    assert "runs protect --off before" in call(built, "runs", "rm", "before")[2]
    assert not as_json(built, "runs", "protect", "--off", "@before")[1][0]["pinned"]
    assert as_json(built, "runs", "rm", "before") == (0, {"removed": ["before"]})
    assert as_json(built, "runs", "list") == (0, [])
    shutil.copy(built.path("results/raw.txt.manifest.json"), built.path("results/other.txt.manifest.json"))
    code, text, _ = call(built, "runs", "save", "after")
    assert code == 0 and "Configuration: my.yaml with note=" in text and "not saved: other.txt." in text
    run = json.loads(built.path("runs/after/run.json").read_bytes())
    assert sorted(run["artifacts"]) == sorted([*ALL, "notes/fr.txt"])
    digest = hashlib.sha256(b"model: {lr: 5}").hexdigest()
    assert run["configuration"]["files"]["my.yaml"] == digest and run["configuration"]["values"]["model"]["lr"] == 5
    assert str(built.root) not in json.dumps(run) + built.path("results/.graph/run.json").read_text()
    assert as_json(built, "status", "--configfile", "config.yaml")[1]["configuration"]["reason"] == "given"
    built.path("my.yaml").unlink()
    code, _, errors = call(built, "status")
    assert code == 3 and "NoProject: The configuration of the last run was read from my.yaml, which no" in errors


def test_gc_deletes_what_a_dry_run_lists(built: Project) -> None:
    assert as_json(built, "gc", "--dry-run")[1]["removed"] == []
    call(built, "runs", "save", "before")
    built.edit("config.yaml", "lr: 1", "lr: 5")
    built.run()
    assert as_json(built, "gc")[1]["size"] == 0
    code, would = as_json(built, "gc", "--dry-run", "--keep-runs", "0")
    assert code == 1 and [removal["kind"] for removal in would["removed"]] == ["named runs", "objects", "entries"]
    assert built.path("runs/before").exists()
    code, text, _ = call(built, "gc", "--keep-runs", "0", "--older-than", "1h")
    assert code == 0 and "Nothing to delete" in text
    code, did = as_json(built, "gc", "--keep-runs", "0")
    assert code == 0 and did["removed"] == would["removed"] and did["size"] > 0
    assert not built.path("runs/before").exists()
    second = built.digests()
    shutil.rmtree(built.path("results"))
    assert built.run().built == ALL or built.digests() == second


def test_a_full_disk_is_named_by_every_command(built: Project) -> None:
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-m", "tapeout.cli", "runs", "save", "full"]
    done = subprocess.run(command, cwd=built.root, env=built.variables(), capture_output=True, text=True)
    assert done.returncode == 3 and not done.stdout and "Traceback" not in done.stderr
    assert "DiskFull: No space is left on the file system at " in done.stderr and not built.path("runs/full").exists()
