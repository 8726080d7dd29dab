"""What is said when it is decided what runs: the plan; in a dry run for a cluster also what would be submitted."""

import sys
from typing import TYPE_CHECKING

from snakemake.iocontainers import InputFiles

from tapeout.graph.plan.describe import describe
from tapeout.graph.plan.forecast import Forecast
from tapeout.graph.run.run_record import Course
from tapeout.graph.run.run_recorder import follow

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer


def announce(layer: "Layer", cost: Forecast, targets: list[str], real: bool) -> None:
    """Print the plan, and begin the record of a ``real`` run."""
    print(describe(cost, targets, real), file=sys.stderr)
    workflow = layer.workflow
    if real:
        course = Course.new(workflow.executor_plugin.name, targets, cost)
        layer.chatter.failed = follow(layer.workspace, course)
    elif workflow.dryrun and workflow.output_settings.printshellcmds:
        _submissions(layer, cost)


def _submissions(layer: "Layer", cost: Forecast) -> None:
    """Print the sbatch line of every planned step, as a shell would take it; nothing if no cluster is asked for."""
    from tapeout.slurm import sbatch_preview  # here, because the executor is not loaded where nobody asks for it

    known, workflow = sbatch_preview.settings(), layer.workflow
    if known is None:
        return
    for step in cost.steps:
        rule, wildcards = layer.producer(step.artifact)
        if rule.name in workflow._localrules:  # there is no public name for it; in a dry run every rule is local
            print(f"# {step.artifact}: here")
            continue
        job = sbatch_preview.Job(rule.name, wildcards, rule.expand_resources(wildcards, InputFiles(), 1, {"tmpdir"}))
        print(f"{sbatch_preview.sbatch(job, known, workflow.workdir_init)} # {step.artifact}", flush=True)
