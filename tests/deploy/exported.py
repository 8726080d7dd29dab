"""A random model with its export and the evaluation of its answers."""

from pathlib import Path
from typing import Any, NamedTuple

import orjson
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tapeout.config.export import CertificateJob
from tapeout.deploy.certificate import certify
from tapeout.deploy.huggingface import export_model
from tapeout.encoder.load import load_encoder
from tapeout.evals.answers import answer_text
from tapeout.evals.questions import encode_questions, read_questions
from tapeout.models import llama
from tapeout.models.huggingface import write_tokenizer as write_files
from tapeout.models.tokenizer_file import tokenizer_path
from tests.deploy.material import export_job, make_set

NEW_TOKENS = 12


class Exported(NamedTuple):
    """An exported model with everything that its certificate is computed from."""

    folder: Path
    job: CertificateJob
    sets: list[tuple[Path, Path]]
    evaluations: list[tuple[Path, Path]]

    def certify(self) -> dict[str, Any]:
        return certify(self.folder, self.job, self.sets, [], self.evaluations)


def random_model(folder: Path) -> Path:
    """Write a model of random weights for the tokenizer in a folder."""
    encoder = load_encoder(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(
        **sizes,
        num_key_value_heads=2,
        vocab_size=encoder.size + 3,
        max_position_embeddings=420,
        bos_token_id=encoder.bos,
        eos_token_id=encoder.eos,
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # answers then depend on the prompt
    tokenizer = tokenizer_path(folder)
    (folder / "model").mkdir()
    model.save_pretrained(folder / "model")
    write_files(llama, tokenizer, 420, folder / "model")
    return folder / "model"


def evaluate(model: Path, rows: Path, job: CertificateJob, output: Path) -> Path:
    """Write the model's greedy answers to the test rows, by argmax of the logits of the whole sequence."""
    network, encoder = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval(), load_encoder(model)
    answers = []
    for question in encode_questions(encoder, job.encoding, 420, read_questions(rows / "test.jsonl")):
        tokens: list[int] = []
        while len(tokens) < NEW_TOKENS and not (tokens and tokens[-1] in question.stop_ids):
            with torch.no_grad():
                logits = network(torch.tensor([[*question.prompt, *tokens]])).logits[0, -1, : encoder.size]
            tokens.append(int(logits.argmax()))
        text, _ = answer_text(encoder, question, tokens, question.stop_ids)
        answers.append({"digest": question.digest, "generated": text})
    output.write_bytes(orjson.dumps({"result": {"answers": answers}}))
    return output


def made(folder: Path, name: str, rows: list[dict[str, Any]], **changes: Any) -> Exported:
    """Export a random model that was tuned on rows; the folder has its tokenizer."""
    export = export_job(name).model_copy(update=changes)
    shared = {
        field: getattr(export, field) for field in CertificateJob.model_fields if field in type(export).model_fields
    }
    job = CertificateJob(**shared, max_new_tokens=NEW_TOKENS)
    for row in rows:
        row |= {"source": "example", "licence": "MIT"}
    pair, model = make_set(folder, "rows", rows, export), random_model(folder)
    export_model(model, folder / "exported", export, [pair], [], {})
    evaluation = evaluate(model, pair[0], job, folder / "evaluation.json")
    return Exported(folder / "exported", job, [pair], [(pair[0] / "test.jsonl", evaluation)])
