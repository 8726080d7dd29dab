"""Ways in which a build graph can be wrong without notice; each was a bug of this one."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidFolder, InvalidRule
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.plan.decide import in_order
from tapeout.graph.workspace import State
from tests.graph.conftest import Project, begin_slow_model
from tests.graph.folders import folder
from tests.graph.test_paths import WORKS


def test_file_system_that_keeps_no_times_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "utime", lambda *_: None)  # as FAT and some network file systems do with times before 1980
    with pytest.raises(InvalidFolder, match="does not keep the times of files"):
        folder(tmp_path, tmp_path / "store").mark("raw.txt", State.BUILD, None)


def test_old_copy_with_its_times_is_not_taken_for_the_new_one(built: Project) -> None:
    model, kept = built.path("results/model"), built.path("kept")
    subprocess.run(["cp", "-a", model, kept], check=True)
    built.edit("config.yaml", "lr: 1", "lr: 5")
    built.run()
    right = model.joinpath("weights.txt").read_bytes()
    shutil.rmtree(model)
    subprocess.run(["cp", "-a", kept, model], check=True)
    assert built.run().nothing_done
    assert model.joinpath("weights.txt").read_bytes() == right


def group(leader: int) -> list[int]:
    """Return the processes of a process group."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == leader:
                found.append(pid)
    return found


def test_program_that_exits_normally_on_sigterm_has_no_result(project: Project) -> None:
    project.edit("scripts/model.py", "import time\n", "import signal\nimport sys\nimport time\n")
    half = 'signal.signal(signal.SIGTERM, lambda *_: ((output / "weights.txt").write_text("HALF"), sys.exit(0)))\n'
    project.edit("scripts/model.py", "time.sleep(", f"output.mkdir()\n{half}time.sleep(")
    project.edit("scripts/model.py", "output.mkdir()\n(output", "(output")
    process = begin_slow_model(project)
    time.sleep(1)
    runners = [
        pid for pid in group(process.pid) if b"tapeout.graph.run.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert runners
    for pid in runners:
        os.kill(pid, signal.SIGTERM)
    text, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert not project.path("results/model").exists(), text
    assert project.run().built == ["model", "report.txt"]


def test_damaged_object_is_not_restored_for_another_action_with_the_same_bytes(built: Project) -> None:
    formatted = built.path("results/formatted.txt")
    info, data = formatted.stat(), formatted.read_bytes()
    formatted.chmod(0o644)
    formatted.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(formatted, ns=(info.st_atime_ns, info.st_mtime_ns))
    formatted.chmod(0o444)
    shutil.rmtree(built.path("results"))
    built.edit("scripts/formatted.py", "inputs, params", "x = 1\ninputs, params")
    built.run()
    assert formatted.read_bytes() == data


@pytest.mark.parametrize("collected", ["rules.report.output", 'lambda wildcards: artifact("report.txt")'])
def test_target_rule_may_list_its_inputs_in_any_way(built: Project, collected: str) -> None:
    built.edit(
        "Snakefile",
        'rule all:\n    input:\n        artifact("report.txt"),',
        f"rule all:\n    input:\n        {collected},",
    )
    built.edit("Snakefile", 'include: "rules/steps.smk"\n\n\n', "")
    built.edit("Snakefile", "rule all:", 'include: "rules/steps.smk"\n\n\nrule all:')
    built.edit("Snakefile", "rule all:\n", "rule all:\n    default_target: True\n")
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run().built == ["model", "report.txt"]


def test_mark_may_be_the_target(built: Project) -> None:
    assert built.run("results/.graph/notes/fr.txt.sealed").built == ["notes/fr.txt"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('model=artifact("model", "weights.txt")', 'artifact("model", "weights.txt")', "input without a name"),
        ('build("scripts/report.py")', '"WHO=ann " + build("scripts/report.py")', "is more than build"),
        ('build("scripts/report.py")', 'build("scripts/reports.py")', "scripts/reports.py, which does not exist"),
        ('raw=artifact("raw.txt")', 'raw="raw.txt"', "is not an artifact"),
    ],
)
def test_rule_without_a_definite_identity_is_refused(project: Project, old: str, new: str, words: str) -> None:
    project.edit("rules/steps.smk", old, new)
    text = project.run("-n", ok=False).text
    assert words in text and "fix:" in text and 'File "' not in text


def test_artifact_inside_another_is_refused() -> None:
    def recipe(name: str, needs: list[str]) -> Recipe:
        return Recipe(name, "r", "s", {}, "e", "d", {}, {need: Reference(need) for need in needs})

    recipes = {"model": recipe("model", []), "model/en.txt": recipe("model/en.txt", ["model"])}
    with pytest.raises(InvalidRule, match=r"model/en\.txt lies inside artifact model"):
        in_order(recipes, ["model/en.txt"])


def test_file_beside_the_script_cannot_be_imported(project: Project) -> None:
    project.path("scripts/helper.py").write_text("VALUE = 1\n")
    project.edit("scripts/notes.py", "from lib", "import helper  # noqa: F401\nfrom lib")
    assert "No module named 'helper'" in project.run(ok=False).text


def test_results_set_aside_do_not_overwrite_each_other(built: Project) -> None:
    report = built.path("results/report.txt")
    for words in ("one", "two", "three"):
        report.unlink()
        report.write_text(words)
        built.run()
        if words == "two":
            built.path("work/set_aside/report.txt.0").unlink()
    kept = sorted(path.read_text() for path in built.root.glob("work/set_aside/report.txt.*"))
    assert kept == ["three", "two"]


def test_inconsistent_manifest_is_replaced(built: Project) -> None:
    manifest = built.path("results/formatted.txt.manifest.json")
    text = manifest.read_text()
    digest = built.digests()["formatted.txt"]
    manifest.write_text(text.replace(f'"digest":"{digest}","executable"', f'"digest":"{"0" * 64}","executable"'))
    assert manifest.read_text() != text
    assert built.run().nothing_done
    assert manifest.read_text() == text


def test_entry_with_another_actions_name_is_not_used(built: Project) -> None:
    entries = {path.stem: path for path in built.root.glob("store/actions/*/*.json")}
    first, second = list(entries.values())[:2]
    first.write_bytes(second.read_bytes())
    shutil.rmtree(built.path("results"))
    assert len(built.run().built) == 1


def test_folders_with_any_other_characters(project: Project, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    project = Project(project.root.rename(tmp_path / WORKS))
    link = tmp_path / f"{WORKS} {{u}}"
    link.symlink_to(Path(sys.executable).parents[1])
    monkeypatch.setattr(sys, "executable", str(link / "bin" / "python"))
    assert project.run("formatted").built == ["formatted.txt", "raw.txt"]


def test_forced_step_does_not_hide_a_downstream_step(built: Project) -> None:
    """Snakemake does not look at a job downstream of one that runs, and skips it if inputs on the way are ancient."""
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run("--forcerun", "raw").built == ["model", "raw.txt", "report.txt"], "not next to the forced step"
    again = built.run("--forcerun", "raw", "formatted", "report")
    assert again.built == ["formatted.txt", "raw.txt", "report.txt"] and again.cut_off == ["model"]
    assert built.run().nothing_done
