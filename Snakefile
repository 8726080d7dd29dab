"""Tapeout: from chip-design text to an evaluation report.

Rules are in rules/, a script of the same name for each rule in scripts/, the content layer in tapeout/graph.
"""

from tapeout.combinations import RULE_SEPARATOR
from tapeout.config.load import DEFAULTS, load_files
from tapeout.config.sweep_wiring import SweepWiring
from tapeout.costs.table import CostTables
from tapeout.graph.layer import Layer, check_start, named_errors
from tapeout.graph.variants import Variants

check_start(workflow, "9.27")


with named_errors():
    settings, site, combinations = load_files(
        [DEFAULTS, *workflow.config_settings.configfiles], workflow.config_settings.config
    )


configfile: "config/default.yaml"


with named_errors():
    costs = CostTables(settings, combinations)
    layer = Layer(workflow, checkpoints, site.launch, site.variables, costs)
    settings = settings.pinned(layer.local.digests)
    variants = Variants(layer, combinations)
    sweep = SweepWiring(settings, combinations, variants.artifact)


rule all:
    input:
        layer.artifact("eval_report"),
        layer.artifact("data_report"),
        *([layer.artifact("eval_gates.json")] if settings.report.on_failure == "stop" else []),
        *([layer.artifact("sweep/report")] if combinations else []),
    localrule: True


include: "rules/graph.smk"


# the same rules once more for each combination of a sweep; docs/sweeps.md
for combination in combinations:
    name_of_rule = f"*{RULE_SEPARATOR}{combination}"

    module:
        name: combination
        snakefile:
            "rules/combination.smk"
        config:
            {
                "settings": combinations[combination].pinned(layer.local.digests),
                "site": site,
                "costs": costs.of(combination),
                "layer": variants.rules(combination),
            }
        replace_prefix:
            {"logs/": f"logs/sweep/{combination}/"}

    use rule * from combination as name_of_rule


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
