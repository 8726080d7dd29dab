"""Which steps run after a change, and which do not, in real Snakemake runs (G1 to G9, G15)."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.graph.conftest import ALL, ROOT, Project, begin_slow_model

SEALED_FILES = ["raw.txt", "formatted.txt", "model/weights.txt", "model/params.json", "report.txt"]


def test_g1_nothing_changed_runs_no_job_and_reads_no_artifact(built: Project) -> None:
    weights = built.path("results/model/weights.txt")
    before, found = weights.stat(), weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(b"?" * len(found))  # same size and times: only reading the bytes could show it
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert built.run().nothing_done
    shutil.rmtree(built.path(".snakemake"))
    assert built.run().nothing_done, "without Snakemake's own memory"
    shutil.rmtree(built.path("store"))
    assert built.run().nothing_done, "without the store"


@pytest.mark.parametrize("lines", [3, 1_000_000], ids=["small", "two megabytes"])
def test_g2_touching_anything_builds_nothing(project: Project, lines: int) -> None:
    built = project
    built.path("src/data.txt").write_text("b\n" * lines)
    built.run()
    built.path("src/data.txt").touch()
    for name in SEALED_FILES:
        built.path(f"results/{name}").touch()
    for path in built.root.glob("results/**/*.json"):
        path.touch()
    for path in (built.path("results/model"), *built.root.glob("results/.graph/**/*")):
        path.touch()
    for path in built.root.glob("scripts/*.py"):
        path.touch()
    assert built.run().nothing_done


def test_g3_one_changed_byte_rebuilds_everything_downstream_and_nothing_else(built: Project) -> None:
    built.path("src/data.txt").write_text("b\na\nd\n")
    run = built.run()
    assert run.built == ["formatted.txt", "model", "raw.txt", "report.txt"]
    assert run.jobs == ["formatted", "model", "raw", "report"]
    assert built.run().nothing_done


def test_g4_identical_output_cuts_off_downstream_steps_in_the_same_run(built: Project) -> None:
    built.path("src/data.txt").write_text("b\na\nc\na\n")
    run = built.run()
    assert run.built == ["formatted.txt", "raw.txt"]
    assert run.cut_off == ["model", "report.txt"] and run.jobs == ["formatted", "raw"]
    assert built.run().nothing_done


def test_g5_a_reverted_change_is_restored_without_a_job(built: Project) -> None:
    first = built.digests()
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run().built == ["model", "report.txt"]
    built.edit("config.yaml", "lr: 5", "lr: 1")
    run = built.run()
    assert run.nothing_done and run.jobs == [] and "restored" in run.text
    assert built.digests() == first


def test_g6_swapped_parameters_and_a_nested_value_are_noticed(built: Project) -> None:
    built.edit("config.yaml", "lr: 1, wd: 2", "lr: 2, wd: 1")
    code, output = built.tapeout("why", "model")
    rows = [line.split() for line in output.splitlines()]
    assert code == 1 and ["parameter", "lr", "1", "2"] in rows and ["parameter", "wd", "2", "1"] in rows
    run = built.run()
    assert run.built == ["model"] and run.cut_off == ["report.txt"]  # the sum of the weights is the same
    built.edit("config.yaml", "decay: [1, 2]", "decay: [2, 1]")
    _, output = built.tapeout("why", "model")
    assert "schedule.decay" in output and "[1, 2]" in output and "[2, 1]" in output
    assert built.run().built == ["model"]


def test_g7_comments_docstrings_and_formatting_build_nothing(built: Project) -> None:
    built.edit("lib/words.py", '"""Words of a text."""', '"""Other words."""\n\n# a comment\n')
    built.edit("lib/words.py", "return sorted(set(text.split()))", "return sorted(\n        set(text.split())\n    )")
    built.edit("scripts/model.py", '"""Write a', '# why\n"""Make a')
    assert built.run().nothing_done


def test_g8_a_changed_helper_reruns_exactly_the_scripts_that_import_it(built: Project) -> None:
    built.edit("lib/words.py", "sorted(set(text.split()))", "sorted(set(text.split()), reverse=False)")
    run = built.run()
    assert run.built == ["formatted.txt", "report.txt"] and run.cut_off == ["model"]
    built.edit("lib/words.py", "reverse=False", "reverse=True")
    assert built.run().built == ["formatted.txt", "model", "report.txt"]


def test_g9_a_changed_lock_reruns_exactly_the_steps_of_that_environment(built: Project) -> None:
    built.edit("envs/heavy.lock", "0.4.6", "0.4.5")
    missing = built.run(ok=False)
    assert "InvalidEnvironment" in missing.text and "make environments" in missing.text
    built.install()
    run = built.run()
    assert run.built == ["model"] and run.cut_off == ["report.txt"]
    built.edit("envs/heavy.lock", "colorama", "# why it is here\ncolorama")
    assert built.run().nothing_done


def test_g15_without_results_and_snakemakes_memory_everything_is_restored(built: Project) -> None:
    first = built.digests()
    shutil.rmtree(built.path("results"))
    shutil.rmtree(built.path(".snakemake"))
    assert built.run().nothing_done
    assert built.digests() == first


def test_edited_results_are_set_aside_and_restored(built: Project) -> None:
    report = built.path("results/report.txt")
    right = report.read_text()
    report.unlink()
    report.write_text("my own words\n")
    built.path("results/model/notes.txt").write_text("?")
    assert built.run().nothing_done
    assert not built.path("results/model/notes.txt").exists()
    assert report.read_text() == right
    assert [path.read_text() for path in built.root.glob("work/set_aside/report.txt.*")] == ["my own words\n"]


def test_a_result_edited_through_its_link_into_the_store_is_planned_to_be_built(built: Project) -> None:
    edited = built.path("results/report.txt")
    edited.chmod(0o644)
    with edited.open("r+") as file:
        file.write("?")  # of the same size
    assert re.search(r"report.txt: 1 job\b", built.run("-n").text)
    assert built.run().built == ["report.txt"]


def test_a_run_that_leaves_out_planned_steps_fails(built: Project) -> None:
    touching = (
        "import os\n\n\ndef touch(decide=layer.decide):\n    decide()\n    for path in Path('results').rglob('*'):\n"
    )
    built.edit(
        "Snakefile", "rule all:", f"{touching}        os.utime(path, (9, 9))\n\n\nlayer.decide = touch\n\n\nrule all:"
    )
    built.path("src/data.txt").write_text("b\na\nd\n")
    text = built.run(ok=False).text
    assert "ended without these planned artifacts: formatted.txt, model, raw.txt, report.txt" in text
    text = built.run("--wait-for-files", "nope", "--latency-wait", "0", ok=False).text
    assert "nope" in text and "Traceback" not in text


def test_only_what_the_target_needs_is_built(project: Project) -> None:
    assert project.run("formatted").built == ["formatted.txt", "raw.txt"]
    assert not project.path("results/model").exists()


def test_a_dry_run_shows_the_plan_and_leaves_results_alone(built: Project) -> None:
    def snapshot() -> dict[str, tuple[int, bytes]]:
        files = [path for path in built.root.glob("results/**/*") if path.is_file() and ".graph" not in path.parts]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run().built == ["model", "report.txt"]
    before = snapshot()
    built.edit("config.yaml", "lr: 5", "lr: 1")
    run = built.run("-n")
    assert "nothing to do, 6 cached (4 current, 2 restored)" in run.text and run.nothing_done
    built.edit("config.yaml", "lr: 1", "lr: 7")
    assert "1 job, and 1 more only if bytes change upstream" in " ".join(built.run("-n").text.split())
    assert snapshot() == before


def test_input_that_no_rule_makes_is_named_with_the_closest_artifact(project: Project) -> None:
    project.edit("rules/steps.smk", 'raw=artifact("raw.txt")', 'raw=artifact("rae.txt")')
    assert "No rule makes the artifact rae.txt; did you mean raw.txt?" in project.run("-n", ok=False).text


def test_snakemake_in_another_folder_is_refused_with_the_right_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--snakefile", str(ROOT / "Snakefile")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode and f"fix: Run it there, without --directory: cd {ROOT}" in done.stderr


def test_environments_that_are_not_installed_are_named_with_the_command(project: Project) -> None:
    for name in ("light", "heavy"):
        (project.root / project.environment(name).folder / "complete").unlink()
    command = "make environments ADD='heavy light'"
    plan = project.run("-n").text
    assert f"The environments heavy, light are not installed. Run: {command}" in plan and "Plan (dry run)" in plan
    text = project.run("formatted", ok=False).text
    assert (
        "InvalidEnvironment: The environment light is not installed.\n  fix: Run: make environments ADD=light" in text
    )


def test_a_changed_environment_is_named_when_steps_run_and_installed_again(built: Project) -> None:
    environment = built.environment("heavy")
    packages = built.root / environment.folder / "lib/python3.11/site-packages"
    (packages / "sitecustomize.py").write_text("import sys\n")
    assert built.run().nothing_done  # nothing of it is used
    built.edit("config.yaml", "lr: 1", "lr: 5")
    text = built.run(ok=False).text
    assert f"EnvironmentChanged: The environment heavy is not as it was installed: {environment.folder}" in text
    assert "sitecustomize.py was added." in text and "fix: Run: make environments ADD=heavy" in text
    (packages / "sitecustomize.py").unlink()
    assert "model" in built.run().built


def test_an_environment_that_changes_during_a_step_gives_no_result(built: Project) -> None:
    before = built.digests()
    process = begin_slow_model(built)
    path = built.root / built.environment("heavy").folder / "lib/python3.11/site-packages/new.pth"
    path.write_text("import sys\n")
    text = process.communicate(timeout=300)[0]
    assert process.returncode and "EnvironmentChanged" in text and "new.pth was added" in text
    path.unlink()
    assert "model" in built.run().built and built.digests().keys() == before.keys()


def test_the_first_dry_run_shows_every_step(project: Project) -> None:
    text = project.run("-n").text
    for rule in ("raw", "formatted", "model", "notes", "report"):
        assert f"rule {rule}:" in text
    assert not project.path("results/raw.txt").exists()


def test_a_forced_step_is_built_again_and_compared(built: Project) -> None:
    run = built.run("--forcerun", "formatted")
    assert "formatted.txt" in run.built and "identical to the one in the store" in run.text
    assert built.run().nothing_done


def test_both_results_of_a_forced_step_are_kept_if_they_differ(built: Project) -> None:
    built.edit("scripts/raw.py", "_, params, output = read()", "import time\n\n_, params, output = read()")
    built.edit("scripts/raw.py", "output.write_bytes(", "output.write_bytes(str(time.time()).encode() +")
    built.run()
    first = built.path("results/raw.txt").read_bytes()
    run = built.run("--forcerun", "raw")
    assert "not reproducible, it DIFFERS: sha256:" in run.text
    assert built.path("results/raw.txt").read_bytes() == first
    assert len(list(built.root.glob("work/differing/*/raw.txt"))) == 1


def test_the_store_may_be_in_another_folder(project: Project, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("TAPEOUT_STORE", str(tmp_path / "shared: store {x} $y"))
    assert project.run().built == ALL
    other = Project(tmp_path / "other")
    shutil.copytree(project.root, other.root, symlinks=True, ignore=shutil.ignore_patterns("results", ".snakemake"))
    assert other.run().nothing_done
    assert other.digests() == project.digests()
