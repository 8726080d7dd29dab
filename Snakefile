"""Tapeout: from chip-design text to an evaluation report.

Rules are in rules/, a script of the same name for each rule in scripts/, the content layer in tapeout/graph.
"""

import re

from tapeout.config.inspection_scope import InspectionScope
from tapeout.config.load import DEFAULTS, load_files
from tapeout.config.wiring import Wiring
from tapeout.costs.table import CostTable
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.layer import Layer, check_start, named_errors
from tapeout.nemo.probe import MODULES

check_start(workflow, "9.27")


with named_errors():
    settings, site = load_files([DEFAULTS, *workflow.config_settings.configfiles], workflow.config_settings.config)


configfile: "config/default.yaml"


with named_errors():
    costs = CostTable(settings)
    layer = Layer(workflow, checkpoints, site.launch, site.variables, costs)
    settings = settings.pinned(layer.local.digests)

action, artifact, sealed, parameters, build = layer.action, layer.artifact, layer.sealed, layer.parameters, layer.build
scope, wiring = InspectionScope(settings), Wiring(settings, artifact)
nemo_image = layer.container(settings.container.image, settings.container.python)
nemo_lock = read_environment("nemo", layer.root).packages
locked_versions = {name: version for name, version in nemo_lock.items() if name in MODULES}


rule all:
    input:
        artifact("eval_report"),
        artifact("data_report"),
    localrule: True


include: "rules/sources.smk"
include: "rules/corpus.smk"
include: "rules/instructions.smk"
include: "rules/data_report.smk"
include: "rules/tokenizer.smk"
include: f"rules/{settings.base.rule}.smk"
include: "rules/base_extended.smk"
include: "rules/probe.smk"
include: "rules/nemo.smk"
include: "rules/dapt.smk"
include: "rules/sft.smk"
include: "rules/export_hf.smk"
include: "rules/export_nemo.smk"
include: "rules/evaluation.smk"
include: "rules/eval_report.smk"


for name in settings.further_rules:

    include: f"rules/{name}.smk"


checkpoint resolve:
    input:
        layer.checkpoint_inputs,
    output:
        "results/.graph/{artifact}.resolved",
    localrule: True
    log:
        "logs/resolve/{artifact}.log",
    conda:
        "envs/data.yaml"
    shell:
        layer.resolve()
