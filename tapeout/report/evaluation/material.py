"""Everything that both forms of the report are written from."""

from collections.abc import Mapping
from dataclasses import dataclass

from tapeout.config.report import ReportJob
from tapeout.evals.result import Evaluation
from tapeout.report.evaluation.figures import Figures
from tapeout.report.evaluation.inputs import TokenizerReport, TrainLog
from tapeout.report.evaluation.provenance import Provenance

TOKENIZER_REPORT = "tokenizer/report.json"
LOGS = {"dapt": "dapt/model/train_log.json", "sft": "sft/model/train_log.json"}


@dataclass(frozen=True)
class Material:
    """Inputs and computed numbers; keys of ``evaluations`` are base, dapt and sft, those of ``logs`` dapt and sft.

    Attributes:
        action: digest of the report's own action, which stands for all parameters, code and inputs.
    """

    evaluations: Mapping[str, Evaluation]
    figures: Figures
    tokenizer: TokenizerReport
    logs: Mapping[str, TrainLog]
    provenance: Provenance
    params: ReportJob
    action: str
