"""Log-likelihoods of lm-eval's own Hugging Face backend, for ``test_lm_eval.py``.

Runs in the environment ``nemo`` with the packages of ``lm_eval`` on the module path.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, LlamaTokenizer


def main(folder: Path, requests: Path, result: Path) -> None:
    """Score each pair of a prompt and a continuation."""
    tokenizer: Any = LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    backend = HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", batch_size=4, add_bos_token=True)
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=index)
        for index, pair in enumerate(json.loads(requests.read_text()))
    ]
    values = [value for value, _ in backend.loglikelihood(instances)]
    result.write_text(json.dumps({"version": version("lm_eval"), "values": values}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
