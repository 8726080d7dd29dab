"""Forecast of a run: rates, origins of numbers, totals and the schedule."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.console import format_size
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan import rates
from tapeout.graph.plan.decide import Decision
from tapeout.graph.plan.describe import describe, duration, hours
from tapeout.graph.plan.forecast import CORES, JOBS, Forecast, Origin, forecast
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import Project
from tests.graph.folders import FINISHED

TRAINING = {"gflop": 360_000, "typical_seconds": 10, "threads": 2}
"""1,800 s on two threads at 10^11 FLOP/s each."""


def recipe(name: str, *needs: str, params: dict[str, Any] | None = None, **resources: Any) -> Recipe:
    inputs = {need: Reference(need) for need in needs}
    return Recipe(name, f"rule of {name}", "s.py", {}, "light", "e", params or {}, inputs, resources)


def unwrap(text: str) -> str:
    """Return text without line breaks."""
    return " ".join(text.split())


def building(step: Recipe) -> Decision:
    return Decision(step, State.BUILD, None)


def waiting(step: Recipe) -> Decision:
    return Decision(step, State.WAITING, None, tuple(step.dependencies()))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    result = Store(tmp_path / "store")
    result.root.mkdir()
    return result


def record(store: Store, step: Recipe, seconds: float, **more: Any) -> None:
    """Store an output of 1,000 bytes and append to the journal, as the runner does."""
    output = store.root.parent / "output"
    output.write_bytes(bytes(1000))
    manifests = {need: Manifest(need, "a", "file", ()) for need in step.dependencies()}
    for need in manifests:
        file = store.root.parent / "input"
        file.write_text(need)
        manifests[need] = Manifest.of(file, need, "a")
    action = step.action(manifests.__getitem__)
    store.seal(action, Manifest.of(output, step.artifact, action.digest), output)
    machine, cores = rates.this_machine().removesuffix(" cores").split(", ")
    line = {"artifact": step.artifact, "rule": step.rule, "recipe": step.cost_key, "action": action.digest}
    line |= {"finished": FINISHED}
    line |= {"seconds": seconds, "machine": machine, "cores": int(cores), "resources": step.resources}
    store.append_journal({**line, "threads": step.resources.get("threads", 1), **more})


def estimate(store: Store, made: Recipe, cores: int = 4) -> tuple[float | None, Origin, int | None, Origin]:
    """Return seconds and bytes of one step, with their origins."""
    step = forecast(Workspace(store), [building(made)], [], {CORES: cores}).steps[0]
    return step.seconds, step.seconds_from, step.stored, step.stored_from


def test_recorded_numbers_precede_those_of_the_rule(store: Store) -> None:
    step = recipe("data", params={"a": 1}, typical_seconds=30, typical_bytes=500)
    assert estimate(store, step) == (30, Origin.RULE, 500, Origin.RULE)
    record(store, step, 20)
    record(store, step, 25)
    assert estimate(store, step) == (25, Origin.RECORDED, 1000, Origin.RECORDED)
    record(store, step, 5, machine="other", cores=64)
    assert estimate(store, step)[:2] == (25, Origin.RECORDED)
    other = recipe("data", params={"a": 2}, typical_seconds=30, typical_bytes=500)
    assert estimate(store, other) == (5, Origin.SIMILAR, 500, Origin.RULE)
    assert estimate(store, recipe("data", params={"a": 2})) == (5, Origin.SIMILAR, 1000, Origin.SIMILAR)
    assert estimate(store, recipe("more")) == (None, Origin.UNKNOWN, None, Origin.UNKNOWN)


def test_a_time_recorded_on_another_machine_is_labelled(store: Store) -> None:
    made = recipe("data")
    record(store, made, 5, machine="other", cores=64)
    step = forecast(Workspace(store), [building(made)], [], {}).steps[0]
    assert (step.seconds, step.seconds_from, step.machine) == (5, Origin.ELSEWHERE, "other, 64 cores")


def test_a_record_of_another_amount_of_work_is_not_used(store: Store) -> None:
    record(store, recipe("convert", parameters=10, typical_seconds=1), 7)
    assert estimate(store, recipe("convert", parameters=10, typical_seconds=1))[:2] == (7, Origin.RECORDED)
    assert estimate(store, recipe("convert", parameters=99, typical_seconds=40))[:2] == (40, Origin.RULE)


def test_time_from_flop_at_an_assumed_and_at_a_recorded_rate(store: Store) -> None:
    step = recipe("train", **TRAINING)
    assert estimate(store, step)[:2] == (pytest.approx(10 + 360e12 / 2 / rates.CORE_RATE), Origin.ASSUMED)
    record(store, recipe("other", **TRAINING), 1810)
    assert estimate(store, step)[:2] == (pytest.approx(1810), Origin.MODEL)
    record(store, recipe("train", **{**TRAINING, "gflop": 720_000}), 1810)  # same rule, twice as fast
    assert estimate(store, step)[:2] == (pytest.approx(910), Origin.MODEL)
    assert estimate(store, step, cores=1)[:2] == (pytest.approx(1810), Origin.MODEL)  # gets one thread of two
    record(store, step, 950)
    assert estimate(store, step)[:2] == (950, Origin.RECORDED)


def test_gpus_and_nodes(store: Store) -> None:
    h100 = rates.GPUS["h100"].peak * rates.GPUS["h100"].utilisation
    made = recipe("train", gflop=int(h100 * 16 * 7200 / 1e9), gpu=16, gpu_model="NVIDIA-H100-80GB", threads=32)
    result = forecast(Workspace(store), [building(made)], [], {JOBS: 50})
    step = result.steps[0]
    assert step.seconds == pytest.approx(7200) and step.seconds_from is Origin.ASSUMED
    assert (step.gpus, step.nodes) == (16, 2)
    most = result.at_most
    assert (most.gpu_hours, most.node_hours, most.cpu_hours) == tuple(map(pytest.approx, (32, 4, 64)))
    assert "32.0 GPU hours, 4.00 node hours" in unwrap(describe(result, ["train"], True))
    record(store, made, 3600)
    assert estimate(store, made)[0] == 3600
    eight = recipe("train", **{**made.resources, "gpu": 8})
    assert estimate(store, eight)[:2] == (pytest.approx(7200), Origin.MODEL)  # half the GPUs at the recorded rate
    a100 = recipe("train", **{**made.resources, "gpu_model": "a100"})
    assert estimate(store, a100)[1] is Origin.ELSEWHERE


@pytest.mark.parametrize(
    ("resources", "nodes"), [({}, 0), ({"gpu": 1}, 1), ({"gpu": 8}, 1), ({"gpu": 9}, 2), ({"gpu": 8, "nodes": 4}, 4)]
)
def test_number_of_nodes(resources: dict[str, Any], nodes: int) -> None:
    assert rates.nodes(resources) == nodes


def test_an_unknown_gpu_has_the_rate_of_the_default() -> None:
    known, none = rates.device({"gpu": 1, "gpu_model": "b999"}, 1, ""), rates.device({"gpu": 1}, 1, "")
    assert known.assumed == none.assumed and (known.kind, none.kind) == ("b999", rates.DEFAULT_GPU)


def test_a_waiting_step_is_certain_to_run_only_if_it_was_never_built(store: Store) -> None:
    first, second = recipe("a", typical_seconds=10), recipe("b", "a", typical_seconds=100, typical_bytes=7)
    decisions = [building(first), waiting(second)]
    result = forecast(Workspace(store), decisions, [], {CORES: 1})
    assert result.at_least == result.at_most and result.at_most.jobs == 2 and result.at_most.wall == 110
    record(store, second, 100)
    result = forecast(Workspace(store), decisions, [], {CORES: 1})
    assert (result.at_least.jobs, result.at_most.jobs) == (1, 2)
    assert (result.at_least.wall, result.at_most.wall, result.at_most.stored) == (10, 110, 1000)
    text = describe(result, ["b"], False)
    jobs = "Plan (dry run) for b: 1 job, and 1 more only if bytes change upstream (likely 2 in all), 0 cached,"
    assert unwrap(text).startswith(f"{jobs} 2 min (10 s to 2 min) on 1 core")
    assert text.splitlines()[-3] == "Only if bytes change upstream:"
    assert text.splitlines()[-2].endswith("likely, after a")
    assert text.splitlines()[-1] == "a probably changes: it was not built before."
    changed = recipe("b", "a", params={"new": 1}, typical_seconds=100)
    assert forecast(Workspace(store), [building(first), waiting(changed)], [], {}).at_least.jobs == 2


def test_a_forced_step_counts_as_a_job(store: Store) -> None:
    existing = Decision(recipe("a", typical_seconds=10), State.CURRENT, None)
    result = forecast(Workspace(store), [existing], ["a"], {CORES: 1})
    assert (result.cached, result.at_least.jobs, result.again) == (0, 1, ("a",))
    assert "1 job, 1 of them to build again and compare" in describe(result, ["a"], True)
    assert forecast(Workspace(store), [existing], [], {}).cached == 1


def plan(store: Store, limits: dict[str, int], *steps: Recipe) -> Forecast:
    return forecast(Workspace(store), [building(step) for step in steps], [], limits)


def test_schedule_on_cores(store: Store) -> None:
    short = [recipe(f"s{number}", typical_seconds=10, threads=1) for number in range(4)]
    wide = recipe("wide", typical_seconds=60, threads=8)
    last = recipe("last", "s0", "wide", typical_seconds=5)
    for cores, wall in ((1, 105), (2, 85), (4, 75), (8, 75), (16, 65)):
        result = plan(store, {CORES: cores}, *short, wide, last)
        assert (result.at_most.wall, result.at_most.one_after_another) == (wall, 105), cores
    assert plan(store, {}, *short, wide, last).at_most.wall == 65
    assert plan(store, {CORES: 4}, wide).at_most.cpu_hours == pytest.approx(60 * 4 / 3600)


def test_schedule_of_jobs_and_gpus(store: Store) -> None:
    steps = [recipe(f"g{number}", typical_seconds=10, gpu=8, threads=64) for number in range(4)]
    assert plan(store, {JOBS: 50}, *steps).at_most.wall == 10
    assert plan(store, {JOBS: 3}, *steps).at_most.wall == 20
    assert plan(store, {CORES: 512, "gpu": 8}, *steps).at_most.wall == 40
    assert plan(store, {CORES: 64}, *steps).at_most.wall == 40


def test_downloads_and_unknown_numbers(store: Store) -> None:
    result = plan(store, {}, recipe("a", download_bytes=3_000_000), recipe("b", download_bytes=None))
    assert result.at_least.download == 3_000_000
    text = describe(result, ["a", "b"], True)
    assert "3.0 MB to download, time of 2 unknown, download of 1 unknown, size of 2" in unwrap(text)


def test_formatting_of_numbers() -> None:
    assert [duration(s) for s in (0.2, 59, 95, 5400, 172_800, 10**9)] == [
        *("< 1 s", "59 s", "2 min", "1.5 h", "2.0 days", "32 years"),
    ]
    assert [hours(count) for count in (0, 0.123, 12.34, 2620)] == ["0.00", "0.12", "12.3", "2,620"]
    assert [format_size(count) for count in (0, 999, 1000, 27e9, 3e15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "27.0 GB",
        "3000.0 TB",
    ]


def test_the_runner_records_what_the_forecast_reads(project: Project) -> None:
    project.edit("rules/steps.smk", "    threads: 2\n", "    resources:\n        gflop=7,\n    threads: 2\n")
    assert "time of 4 unknown" in unwrap(project.run("-n").text)
    project.run()
    lines = [json.loads(line) for line in project.path("store/journal.jsonl").read_text().splitlines()]
    model = next(line for line in lines if line["artifact"] == "model")
    assert (model["rule"], model["threads"], model["resources"]) == ("model", 2, {"gflop": 7, "threads": 2})
    project.edit("config.yaml", "lr: 1", "lr: 5")
    assert re.search(r"  model +(< 1|\d+) s  model\n", project.run("-n").text)


def test_cost_resources_may_be_functions_and_must_be_numbers(project: Project) -> None:
    project.edit("rules/steps.smk", "typical_seconds=30", "typical_seconds=lambda wildcards, threads: 3600 * threads")
    assert "raw.txt         60 min  rule" in project.run("-n").text
    assert "10.0 h  rule" in project.run("-n", "--set-resources", "raw:typical_seconds=36000").text
    bad = project.run("-n", "--set-resources", "raw:typical_seconds=long", ok=False).text
    assert "InvalidRule: Resource typical_seconds of rule raw is 'long'." in bad and "Traceback" not in bad


def test_a_cost_table_overrides_the_resources_of_a_rule(project: Project) -> None:
    table = '{"raw": {"typical_seconds": 7200}}.get(rule, {})'
    project.edit("Snakefile", 'config.get("launch", {})', f'config.get("launch", {{}}), costs=lambda rule, _: {table}')
    assert "raw.txt          2.0 h  rule" in project.run("-n").text


def test_cost_hints_are_not_part_of_the_identity(built: Project) -> None:
    built.edit("rules/steps.smk", "typical_seconds=30", "typical_seconds=31, typical_bytes=5, gflop=9, gpu=8, nodes=2")
    assert built.run().nothing_done


def test_a_remote_may_have_a_waiting_artifact_and_its_transfers_are_downloads(store: Store, tmp_path: Path) -> None:
    existing = Decision(recipe("raw"), State.RESTORE, None, download=5_000_000)
    decisions = [existing, building(recipe("a", typical_seconds=10)), waiting(recipe("b", "a", typical_seconds=100))]
    assert forecast(Workspace(store), decisions, [], {}).at_least.jobs == 2
    remote = Remote(store, (tmp_path / "remote").as_uri(), "read-only", tmp_path / "graph")
    result = forecast(Workspace(store, remote=remote), decisions, [], {})
    assert (result.at_least.jobs, result.at_most.jobs) == (1, 2)
    assert result.at_least.download == result.at_most.download == 5_000_000
    assert "1 cached (1 restored, 1 of them from the remote, 5.0 MB)" in unwrap(describe(result, ["b"], True))
