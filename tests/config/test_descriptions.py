"""The schema is the reference of all config keys: each must have a description."""

from collections.abc import Iterator
from typing import Any

import pytest

from tapeout.config.corpus import DomainJob, GeneralJob
from tapeout.config.evaluation import EvaluateJob, SamplesJob
from tapeout.config.export import ExportJob
from tapeout.config.instructions import EncodeJob, InstructionSetJob
from tapeout.config.report import EvalReportJob
from tapeout.config.root import Settings
from tapeout.config.rtl_problems import CheckedJob, ProblemSet
from tapeout.config.section import Section
from tapeout.evals.tasks import bits_per_byte, instruction_answers, verilog_generation

ROOTS: list[type[Section]] = [
    Settings,
    DomainJob,
    GeneralJob,
    EncodeJob,
    InstructionSetJob,
    ExportJob,
    EvaluateJob,
    SamplesJob,
    EvalReportJob,
    instruction_answers.Options,
    bits_per_byte.Options,
    verilog_generation.Options,
    CheckedJob,
    ProblemSet,
]


def fields(schema: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Each field of a model and of those below it, and whether it or its section has a description.

    Records of the sources file are left out: config/sources.yaml explains them.
    """
    models = schema.get("$defs", {})
    for title, model in {schema["title"]: schema, **models}.items():
        if title.endswith("Source") or title == "HubFile":
            continue
        for name, field in model["properties"].items():
            section = models.get(field.get("$ref", "").removeprefix("#/$defs/"), {})
            yield f"{title}.{name}", (title, name) == ("Settings", "sources") or "description" in {**section, **field}


@pytest.mark.parametrize("root", ROOTS)
def test_every_field_is_described(root: type[Section]) -> None:
    found = dict(fields(root.model_json_schema()))
    assert len(found) > 2
    assert [name for name, described in found.items() if not described] == []
