"""Steps in containers, in real Snakemake runs with stand-ins for the container runtimes."""

import json
import os
from pathlib import Path

import pytest

from tapeout.graph.identity.action import Action
from tests.graph.conftest import ALL, Project
from tests.graph.stand_ins import StandIns, stand_ins

ONE, TWO = ("registry.example.org/lab/nemo:25.07@sha256:" + digit * 64 for digit in "12")
SECRET = "hf_thisIsNobodysBusiness"


@pytest.fixture
def runtimes(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """Stand-ins on PATH; the image's Python is that of the project's heavy environment."""
    found = stand_ins(tmp_path / "bin", project.root / project.environment("heavy").folder / "bin" / "python")
    monkeypatch.setenv("PATH", f"{found.folder}:{os.environ['PATH']}")
    return found


def use(project: Project, image: str, launch: str = "{runtime: apptainer}") -> None:
    """Set the image of the rule ``model``, and how this site starts containers."""
    text = project.path("config.yaml").read_text().splitlines()
    lines = [line for line in text if not line.startswith(("image:", "launch:"))]
    project.path("config.yaml").write_text("\n".join([*lines, f'image: "{image}"', f"launch: {launch}", ""]))


def action(project: Project) -> dict:
    return json.loads(project.path("results/.graph/model.action.json").read_bytes())


def scratch_of(project: Project) -> Path:
    """Return the scratch folder of the model."""
    return project.path("work") / Action(action(project)).digest


def test_action_without_container_has_the_lock(built: Project) -> None:
    heavy = built.environment("heavy")
    assert action(built)["environment"] == {"name": "heavy", "digest": heavy.digest}
    use(built, ONE)
    status, output = built.tapeout("why", "model")
    assert status == 1 and f"container {'1' * 64}" in output and "heavy" in output


def test_digest_is_identity_and_the_registry_is_not(project: Project, runtimes: StandIns) -> None:
    """Another registry of the same image runs nothing; another image runs the step, and an equal result is cut off."""
    use(project, ONE)
    assert project.run().built == ALL
    assert action(project)["environment"] == {"name": "container", "digest": "1" * 64, "python": "python3"}
    assert len(runtimes.calls("apptainer")) == 1, "the model alone has a container"
    use(project, ONE.replace("registry.example.org/lab/nemo:25.07", "localhost:5000/mirror"))
    assert project.run().nothing_done
    use(project, TWO)
    status, output = project.tapeout("why", "model")
    assert status == 1 and "1" * 64 in output and "2" * 64 in output
    run = project.run()
    assert run.built == ["model"]
    assert run.cut_off == ["report.txt"]
    use(project, ONE)
    run = project.run()
    assert run.nothing_done and action(project)["environment"]["digest"] == "1" * 64


def test_environment_of_the_program_in_a_container(
    project: Project, runtimes: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's variables override the image's, and no others enter."""
    monkeypatch.setenv("HF_TOKEN", SECRET)
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    monkeypatch.setenv("NCCL_ALGO", "Tree")
    monkeypatch.setenv("APPTAINERENV_SNEAKED", "in")
    use(project, ONE)
    project.run()
    (call,) = runtimes.calls("apptainer")
    inside = call["variables"]
    assert SECRET not in str(call), "only a step that fetches gets it"
    assert inside["LC_ALL"] == "C.UTF-8" and inside["PYTHONHASHSEED"] == "0"
    assert inside["OF_THE_IMAGE"] == "1" and inside["PYTHONPATH"] == "/opt/of-the-image"
    code, scratch, metrics, words = call["binds"]
    assert inside["TAPEOUT_CODE"] == code and inside["PATH"] == "/usr/bin:/bin"
    assert not {"NCCL_ALGO", "NCCL_SOCKET_IFNAME", "SNEAKED", "SSL_CERT_FILE"} & inside.keys()
    assert Path(code).is_relative_to(project.path("work/code")) and scratch == str(scratch_of(project))
    assert Path(metrics).parent == project.path("work/metrics") and words == str(project.path("results/formatted.txt"))
    assert call["flags"] == ["--cleanenv", "--no-home"]
    assert call["image"] == "docker://registry.example.org/lab/nemo@sha256:" + "1" * 64, "no tag beside a digest"


def test_pyxis_inside_a_job(project: Project, runtimes: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    use(project, ONE, "{runtime: pyxis}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CPU_BIND", "of the runner's own step")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert project.run().built == ALL
    (call,), (task,) = runtimes.calls("pyxis"), runtimes.calls("task")
    assert call["image"] == "registry.example.org#lab/nemo:sha256:" + "1" * 64
    assert f"{scratch_of(project)}:{scratch_of(project)}" in call["mounts"]
    assert f"{project.root}:{project.root}" not in call["mounts"]
    assert call["argv"][:4] == ["--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--overlap"]
    assert SECRET not in str([call, task])
    assert task["variables"]["LC_ALL"] == "C.UTF-8" and task["variables"]["PATH"] == "/usr/bin:/bin"
    assert "SLURM_CPU_BIND" not in call["outside"]


def test_links_of_the_project_and_mounts_of_the_site_are_mounted(
    project: Project, runtimes: StandIns, tmp_path: Path
) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "data").mkdir()
    project.path("work").symlink_to(tmp_path / "scratch")
    use(project, ONE, f"{{runtime: apptainer, mounts: ['{tmp_path}/data:/data:ro']}}")
    project.run()
    (call,) = runtimes.calls("apptainer")
    inside = tmp_path / "scratch"
    assert (
        call["binds"][1] == str(inside / scratch_of(project).name) and call["binds"][-1] == f"{tmp_path}/data:/data:ro"
    )
    assert Path(call["binds"][0]).is_relative_to(inside / "code")


def test_images_that_the_site_has_pulled_are_used(project: Project, runtimes: StandIns, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    use(project, ONE, f"{{runtime: apptainer, images: '{tmp_path}/images'}}")
    file = tmp_path / "images" / f"sha256-{'1' * 64}.sif"
    run = project.run(ok=False)
    assert f"fix: Run: apptainer pull {file} docker://registry.example.org/lab/nemo@sha256:1111" in run.text
    file.touch()
    project.run()
    assert runtimes.calls("apptainer")[0]["image"] == str(file)


@pytest.mark.parametrize(
    ("image", "launch", "words"),
    [
        (ONE, "{}", "Set container.runtime in config/site.yaml to apptainer or pyxis."),
        (ONE[:-1], "{runtime: apptainer}", "without a digest; a tag may point"),
    ],
)
def test_invalid_container_settings_fail_before_anything_runs(
    project: Project, image: str, launch: str, words: str
) -> None:
    use(project, image, launch)
    run = project.run(ok=False)
    assert words in run.text and run.built == []


def test_missing_runtime_is_an_error(project: Project) -> None:
    use(project, ONE)
    run = project.run(ok=False)
    assert "CannotStart: There is no apptainer on " in run.text


def test_snakemakes_own_container_support_is_refused(project: Project, runtimes: StandIns) -> None:
    use(project, ONE)
    run = project.run("--sdm", "apptainer", ok=False)
    assert "would include the runner" in run.text


def test_rebuild_in_a_container(project: Project, runtimes: StandIns) -> None:
    use(project, ONE)
    project.run()
    status, output = project.tapeout("rebuild", "model", "--check")
    assert status == 0 and "same bytes" in output
    assert len(runtimes.calls("apptainer")) == 2


def test_ordering_only_input_is_not_passed_to_the_program(built: Project) -> None:
    """An input whose name begins with ``after_`` is part of the action, but not an option of the program."""
    needs = '        formatted=artifact("formatted.txt"),\n'
    built.edit("rules/steps.smk", needs, f'{needs}        after_notes=artifact("notes/en.txt"),\n')
    run = built.run()
    assert run.built == ["model"]
    assert action(built)["inputs"]["after_notes"]["artifact"] == "notes/en.txt"
