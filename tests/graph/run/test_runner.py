"""Faults during a run: changed inputs and code, damage, kills, concurrent runs, failing steps, full disks."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.graph.conftest import ALL, Project, begin_slow_model, wait_for
from tests.graph.soak import Soak, processes, start, target_of


def test_g10_a_job_whose_input_is_edited_fails_and_stores_nothing(project: Project) -> None:
    process = begin_slow_model(project)
    formatted = project.path("results/formatted.txt")
    formatted.chmod(0o644)
    formatted.write_text("x\n")
    text, _ = process.communicate(timeout=300)
    assert process.returncode != 0 and "InputChanged" in text
    assert not project.path("results/model").exists()
    assert project.run().built == ["formatted.txt", "model", "report.txt"]
    assert (project.path("results/model/weights.txt")).read_text().startswith("a\nb\nc\n")


def test_code_that_is_edited_during_a_run_has_no_effect_on_it(project: Project) -> None:
    process = begin_slow_model(project)
    before = project.path("lib/options.py").read_text()
    project.path("lib/options.py").write_text("raise SystemExit('edited')\n")
    project.edit("lib/words.py", "set(text.split())", "['edited']")
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "+ report.txt" in text
    assert "edited" not in project.path("results/report.txt").read_text()
    project.path("lib/options.py").write_text(before)
    assert project.run().built == ["formatted.txt", "model", "report.txt"], "the next run has the new code"


def flip(path: Path) -> None:
    """Flip one bit without changing size, times or mode."""
    info, data = path.stat(), path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(info.st_mode)


@pytest.mark.parametrize("linked", [True, False], ids=["store damaged too", "store intact"])
def test_g11_a_flipped_bit_is_found_and_repaired(built: Project, linked: bool) -> None:
    first, weights = built.digests(), built.path("results/model/weights.txt")
    if not linked:  # as if store and results were on two disks
        copy = weights.with_suffix(".copy")
        shutil.copy2(weights, copy)
        copy.replace(weights)
    flip(weights)
    assert built.run().nothing_done and built.tapeout("verify")[0] == 0  # size and times are unchanged
    code, output = built.tapeout("verify", "--deep")
    assert code == 1 and "model" in output and "weights.txt" in output
    assert built.tapeout("verify")[0] == 1  # the damage is remembered
    assert built.tapeout("verify", "--deep", "--repair")[0] == 0
    assert built.tapeout("verify", "--deep")[0] == 0
    assert built.digests() == first
    assert journal(built.path("store")).count("model") == (2 if linked else 1)


def test_g11_a_job_hashes_an_input_whose_times_have_changed(project: Project) -> None:
    process = begin_slow_model(project)
    note = project.path("results/notes/en.txt")
    wait_for(project.path("results/notes/en.txt.manifest.json"))
    flip(note)
    note.touch()
    text, _ = process.communicate(timeout=300)
    # the report reads the note, and waits for the slow model
    assert process.returncode != 0 and "✗ report.txt  InputChanged: Artifact notes/en.txt" in text
    assert not project.path("results/report.txt").exists()
    assert project.run().built == ["notes/en.txt", "report.txt"]
    assert "note" in project.path("results/report.txt").read_text()


def test_g12_a_damaged_object_is_never_served(built: Project) -> None:
    first = built.digests()
    flip(built.path("results/model/weights.txt"))  # a hard link to the store's object
    shutil.rmtree(built.path("results"))
    assert built.run().built == ["model"]
    assert built.digests() == first
    assert len(list(built.path("store/quarantine").iterdir())) == 1


def test_a_damaged_store_entry_is_ignored(built: Project) -> None:
    shutil.rmtree(built.path("results"))
    for path in built.path("store/actions").rglob("*.json"):
        sealed = json.loads(path.read_bytes())
        sealed["entry"]["manifest"]["files"][0]["digest"] = "0" * 64
        path.write_text(json.dumps(sealed))
    assert built.run().built == ALL


@pytest.mark.parametrize("whole_group", [True, False], ids=["driver and job", "driver alone"])
def test_g13_after_a_kill_the_next_run_finishes(project: Project, whole_group: bool) -> None:
    process = begin_slow_model(project)
    os.killpg(process.pid, signal.SIGKILL) if whole_group else process.kill()
    process.communicate()
    run = project.run()
    # a job that outlives its driver completes; the next run waits for it and uses its result
    assert run.built == ["model", "report.txt"], run.text
    assert ("already in the store" in run.text) == (not whole_group)
    killed = project.digests()
    shutil.rmtree(project.path("results"))
    shutil.rmtree(project.path("store"))
    project.run()
    assert project.digests() == killed


def test_g13_after_kills_at_many_moments_the_result_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    result = Soak(tmp_path, seed=1).soak(kills=4)
    assert result.kills.total() == 4 and result.rounds >= 2


def test_a_kill_while_a_result_is_replaced_sets_nothing_aside(built: Project, tmp_path: Path) -> None:
    built.edit("config.yaml", "lr: 1", "lr: 5")
    token = tmp_path / "token"
    assert start(
        built, tmp_path / "log", target_of("runner", "store.link", 1, token, artifact="scripts/model.py")
    ).wait(300)
    assert token.exists() and not built.path("results/model.manifest.json").exists()
    assert built.path("results/model/weights.txt").read_text().endswith("3")  # the old one, without a manifest
    assert built.run().built == ["report.txt"]  # the model was stored before the kill
    assert built.path("results/model/weights.txt").read_text().endswith("7")
    assert not built.path("work/set_aside").exists()


def test_a_job_that_outlives_its_run_never_replaces_a_result_of_a_later_run(built: Project, tmp_path: Path) -> None:
    first, token = built.digests(), tmp_path / "token"
    built.edit("config.yaml", "lr: 1", "lr: 5")
    stop = target_of("runner", "workspace.publish", 1, token, signal.SIGSTOP, "scripts/model.py")
    run = start(built, tmp_path / "first.log", stop)
    wait_for(token)
    (runner,) = processes(built.root, "runner")
    run.kill()
    run.wait()
    # the runner has stopped right before its result replaces the one that the next run needs
    built.edit("config.yaml", "lr: 5", "lr: 1")
    later = start(built, tmp_path / "later.log", {})
    end = time.monotonic() + 120
    while later.poll() is None and f" {later.pid} " not in "".join(
        line for line in Path("/proc/locks").read_text().splitlines() if "->" in line
    ):
        assert time.monotonic() < end, "the later run does not wait for the lock"
        time.sleep(0.02)
    os.kill(runner, signal.SIGCONT)
    assert later.wait(300) == 0
    while processes(built.root, "runner"):
        assert time.monotonic() < end + 120, "the runner does not end"
        time.sleep(0.02)
    assert built.digests() == first


def test_g14_two_runs_on_one_store_build_once(project: Project, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "store"))
    project.edit("config.yaml", "pause: 0", "pause: 1")
    other = Project(tmp_path / "other")
    shutil.copytree(project.root, other.root, symlinks=True)
    other.edit("config.yaml", "lr: 1", "lr: 5")
    both = (project, other)
    processes = [subprocess.Popen(copy.command(), cwd=copy.root, env=copy.variables()) for copy in both]
    assert [process.wait(300) for process in processes] == [0, 0]
    built = journal(tmp_path / "store")
    shared = [name for name in ALL if name not in ("model", "report.txt")]
    assert sorted(built) == sorted([*shared, "model", "model", "report.txt", "report.txt"])
    for copy, weights in zip(both, ("3", "7"), strict=True):
        assert copy.path("results/model/weights.txt").read_text().endswith(weights)
        assert copy.tapeout("verify", "--deep")[0] == 0
        assert copy.run().nothing_done
        alone = Project(tmp_path / f"alone{weights}")
        ignored = shutil.ignore_patterns("results", "work", ".snakemake")
        shutil.copytree(copy.root, alone.root, symlinks=True, ignore=ignored)
        monkeypatch.setenv("TAPEOUT_STORE", str(alone.path("store")))
        alone.run()
        assert alone.digests() == copy.digests()
        monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "store"))


def journal(store: Path) -> list[str]:
    """Return the names of the built artifacts in order; one that was built twice appears twice."""
    return [json.loads(line)["artifact"] for line in (store / "journal.jsonl").read_text().splitlines()]


def test_a_second_run_in_the_same_folder_is_refused(project: Project) -> None:
    end = project.share() / "end"
    wait = f"import pathlib; [pathlib.Path({str(end)!r}).exists() or time.sleep(0.02) for _ in range(5000)]"
    project.edit("scripts/model.py", 'time.sleep(params.pop("pause"))', f'params.pop("pause"); {wait}')
    process = begin_slow_model(project)  # it waits, so that nothing ends while the other runs look
    refused = project.run(ok=False)
    assert "RunInProgress" in refused.text
    assert "waiting" not in project.run("-n").text
    end.touch()
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_a_dry_run_does_not_end_because_a_run_deletes_marks(built: Project) -> None:
    """Snakemake deletes the outputs of a job before it starts it, here while the dry run reads the rules."""
    marks = [f"results/.graph/{name}" for name in ("model.sealed", "report.txt.resolved")]
    delete = f"lambda wildcards: [Path(name).unlink(missing_ok=True) for name in {marks}] and []"
    built.edit("Snakefile", "layer.checkpoint_inputs,", f"layer.checkpoint_inputs,\n        {delete},")
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run("-n").jobs == ["model", "report"]


def test_a_failing_step_is_reported_with_artifact_cause_and_log(built: Project) -> None:
    built.edit("scripts/model.py", "output.mkdir()", 'raise ValueError("out of luck")')
    run = built.run(ok=False)
    assert "✗ model  StepFailed: scripts/model.py ended with status 1" in run.text
    assert "logs/model.log" in run.text and "ValueError: out of luck" in run.text
    assert built.path("results/report.txt").exists()
    again = built.run(ok=False)
    assert again.built == ["model"]


def test_a_named_error_of_a_step_is_shown_with_its_fix(built: Project) -> None:
    built.edit("scripts/model.py", "output.mkdir()", 'raise SystemExit("BadRow: row 3 is empty.\\n  fix: Delete it.")')
    text = built.run(ok=False).text
    assert "✗ model  StepFailed: BadRow: row 3 is empty.\n  fix: Delete it." in text


@pytest.mark.parametrize(
    ("statement", "error"),
    [("pass", "StepFailed"), ("output.mkdir(); (output / 'a').symlink_to('/etc/hostname')", "NotAPlainFile")],
)
def test_a_missing_or_unusable_output_is_refused(project: Project, statement: str, error: str) -> None:
    project.edit("scripts/notes.py", "output.write_text(f\"note in {params['language']}\\n\")", statement)
    assert error in project.run(ok=False).text
    assert not project.path("results/notes/en.txt").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "error"),
    [
        ("rules/steps.smk", "source=sha256(Path", "source={1, 2}, x=sha256(Path", "InvalidRule"),
        ("rules/steps.smk", 'artifact("formatted.txt")', 'artifact("formated.txt")', "UnknownName"),
        ("rules/steps.smk", '"weights.txt"', '"weight.txt"', "InputChanged"),
        ("envs/heavy.lock", "--hash", "--hush", "InvalidEnvironment"),
    ],
)
def test_a_faulty_graph_is_a_named_error(project: Project, file: str, old: str, new: str, error: str) -> None:
    project.edit(file, old, new)
    text = project.run(ok=False).text
    assert error in text and "fix:" in text
    assert "Traceback" not in text
