# All rules of one configuration: of the project, and of each combination of a sweep. The file that includes this one
# provides settings, site, costs and layer.
import re

from tapeout.config.inspection_scope import InspectionScope
from tapeout.config.panel_wiring import PanelWiring
from tapeout.config.report_wiring import ReportWiring
from tapeout.config.wiring import Wiring, pattern_of
from tapeout.costs.planned import planned_trainings
from tapeout.graph.identity.environment import read_environment
from tapeout.graph.layer import named_errors
from tapeout.graph.plan import rates
from tapeout.nemo.probe import MODULES

action, artifact, sealed, parameters, build = layer.action, layer.artifact, layer.sealed, layer.parameters, layer.build
with named_errors():
    scope, wiring, panel = InspectionScope(settings), Wiring(settings, artifact), PanelWiring(settings, artifact)
    reporting = ReportWiring(wiring)
    nemo_image = layer.container(settings.container.image, settings.container.python)
    nemo_lock = read_environment("nemo", layer.root).packages
training_gpu = settings.dapt.layout.gpu_model or rates.DEFAULT_GPU
planned = planned_trainings(settings, rates.assumed)
locked_versions = {name: version for name, version in nemo_lock.items() if name in MODULES}
training_versions = settings.container.packages if nemo_image else locked_versions


include: "sources.smk"
include: "corpus.smk"
include: "instructions.smk"
include: "data_report.smk"
include: "tokenizer.smk"
include: f"{settings.base.rule}.smk"
include: "base_extended.smk"
include: "probe.smk"
include: "nemo.smk"
include: "dapt.smk"
include: "sft.smk"
include: "export_hf.smk"
include: "export_nemo.smk"
include: "export_gguf.smk"
include: "certificate.smk"
include: "serve_check.smk"
include: "deploy_nim.smk"
include: "problems.smk"
include: "samples.smk"
include: "evaluation.smk"
include: "tokenizer_panel.smk"
include: "contamination.smk"
include: "eval_report.smk"


for name in settings.further_rules:

    include: f"{name}.smk"
