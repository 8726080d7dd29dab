"""Variants in one graph: what they share, and what they are called."""

from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_target_jobs_cli_args

from tapeout.cli import project
from tapeout.combinations import scoped, unscoped
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.plan.decide import in_order

ROOT = Path(__file__).parents[2]
RATES, SIZES = (1e-3, 3e-4, 1e-4), (768, 256)
ARTIFACTS = {
    "lr": {
        "sft/model",
        "evaluation/sft/bits_per_byte.json",
        "evaluation/sft/instruction_answers/rtl.json",
        "evaluation/sft/multiple_choice.json",
        "evaluation/sft/verilog_generation/rtl_problems.json",
        "samples/sft/verilog_generation/rtl_problems/0.jsonl",
    },
    "new_pieces": {
        "tokenizer",
        "base_extended",
        "nemo/base.nemo",
        "dapt/model",
        "data_report",
        "gates.json",
        *(f"encoded/{name}" for name in ("questions", "rtl")),
        *(f"inspected/{name}" for name in ("corpus/domain", "corpus/general", "instructions/questions")),
        "inspected/instructions/rtl",
    },
}
"""Artifacts that each axis changes first; those that the second changes have both in their name."""


def references(recipe: Recipe) -> list[tuple[str, Reference]]:
    """Return the inputs of a step with their names."""
    return [
        (key, one) for key, value in recipe.inputs.items() for one in (value if isinstance(value, list) else [value])
    ]


def steps(folder: Path, sweep: dict[str, object]) -> set[str]:
    """Return the artifacts of a sweep of the default configuration."""
    file = folder / "sweep.yaml"
    file.write_text(yaml.safe_dump({"sweep": sweep}))
    return set(project.load([file], "sweep").recipes)


def test_variants_share_every_step_that_their_choices_do_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    axes = {"sft.lr": list(RATES), "tokenizer.new_pieces": list(SIZES)}
    found = steps(tmp_path, {"axes": axes})
    varied = {name for name in found if name.startswith("sweep/")} - {"sweep/report"}
    expected = {scoped("new_pieces=256", name) for name in ARTIFACTS["new_pieces"]}
    for rate in RATES:
        # 768 is what the configuration has anyway, so that its artifacts carry no name for it
        for combination in (f"lr={rate}", f"lr={rate},new_pieces=256"):
            expected |= {scoped(combination, name) for name in ARTIFACTS["lr"]}
    assert varied == expected
    shared = found - varied
    assert {unscoped(name) for name in varied} - {"sft/model"} - shared == ARTIFACTS["lr"] - {"sft/model"}
    assert {"base", "corpus/domain", "corpus/general", "tokenizer", "dapt/model"} <= shared
    without = steps(tmp_path, {"axes": axes, "exclude": ["lr=0.001,new_pieces=256"]})
    assert found - without == {scoped("lr=0.001,new_pieces=256", name) for name in ARTIFACTS["lr"]}
    assert not without - found


def test_a_change_of_the_rows_trains_no_other_pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gates of a variant have to exist before its trainings, and are no input that distinguishes them."""
    monkeypatch.chdir(ROOT)
    found = steps(tmp_path, {"axes": {"rows": {"rtl": {"instructions": {"train": ["rtl"]}}, "all": {}}}})
    assert {"sweep/rows=rtl/sft/model", "sweep/rows=rtl/gates.json", "dapt/model"} <= found
    assert "sweep/rows=rtl/dapt/model" not in found


def test_choices_that_contradict_without_each_other_share_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    heads = {"h3": {"base": {"architecture": {"num_attention_heads": 3, "num_query_groups": 3}}}}
    found = steps(tmp_path, {"axes": {"heads": heads, "base.architecture.hidden_size": [96]}})
    assert "sweep/heads=h3,hidden_size=96/base" in found
    assert {"tokenizer", "corpus/domain", "instructions/rtl"} <= found


def test_names_of_a_variant_and_its_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump({"sweep": {"axes": {"sft.lr": list(RATES), "tokenizer.new_pieces": list(SIZES)}}}))
    loaded = project.load([file])
    for name, known in {
        "sweep/lr=0.001/tokenizer": "tokenizer",
        "sweep/new_pieces=256,lr=0.001/sft/model": "sweep/lr=0.001,new_pieces=256/sft/model",
        "results/sweep/lr=0.001,new_pieces=768/dapt/model": "dapt/model",
        "sweep/lr=0.001,new_pieces=768/sft/model": "sweep/lr=0.001/sft/model",
    }.items():
        assert loaded.resolve(name).artifact == known
        assert loaded.layer.request.artifacts(name) == [known]
    # as the executor of a cluster names a job: the rule, a colon, wildcards
    jobs = [f"{recipe.rule}:model=sft" for recipe in loaded.recipes.values()]
    parsed = parse_target_jobs_cli_args(jobs)
    assert {job.rulename for job in parsed} == {recipe.rule for recipe in loaded.recipes.values()}
    assert any("@lr=0.001,new_pieces=256" in job.rulename for job in parsed)


def test_a_variant_equal_to_the_configuration_is_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    found = steps(tmp_path, {"axes": {"same": {"a": {"sft": {"threads": 2}}, "b": {}}}, "model": "dapt"})
    assert {name for name in found if name.startswith("sweep/")} == {"sweep/report"}
    assert "sft/model" not in found


def test_the_lineage_of_a_report_reaches_what_its_recipes_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump({"sweep": {"axes": {"sft.lr": [1e-3, 3e-4]}}}))
    layer = project.load([file], "sweep").layer
    for name in ("eval_report", "sweep/lr=0.0003/eval_report"):
        recipes = layer.recipes([name])
        lineage = recipes[name].params["lineage"]
        assert sorted(lineage) == recipes[name].dependencies()
        reached: dict[str, set[str]] = {}
        for artifact in in_order(recipes, [name]):
            read = {one.artifact for key, one in references(recipes[artifact]) if not key.startswith("after_")}
            reached[artifact] = read.union(*(reached[one] for one in read))
        for artifact, origins in lineage.items():
            assert set(origins).union(*(reached[one] & lineage.keys() for one in origins)) == (
                reached[artifact] & lineage.keys()
            )
