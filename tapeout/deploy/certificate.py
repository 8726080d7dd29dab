"""Certificate of an exported model: what a server gives is what was trained and evaluated.

The export itself compares tensors, token ids and logits in the locked versions of its environment
(``parity.json``). The certificate repeats that in the current version of transformers, which servers contain, and adds
what needs the evaluation, the greedy answers, and what the chat template must refuse.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict

from tapeout import progress
from tapeout.config.export import CertificateJob, PromptsJob
from tapeout.deploy.huggingface import DIGITS, PARITY, fixed_tokens, summary
from tapeout.deploy.served_tokenizer import ends_of_answers
from tapeout.deploy.token_ids import check_tokenizers, load_tokenizer, read_sets
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError
from tapeout.evals.answers import answer_text
from tapeout.evals.questions import Question, encode_questions, read_questions

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

REPLACEMENT = "\ufffd"
"""Character for an incomplete one at the end of a decoded text."""
USER, ANSWER = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
TOOL, SYSTEM = {"role": "tool", "content": "z"}, {"role": "system", "content": "s"}


class CertificateRefused(TapeoutError):
    """An exported model is not what was trained or evaluated."""


class EvaluatedAnswer(BaseModel):
    """The part of an evaluation's answer that is compared."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    digest: str
    generated: str


@dataclass(frozen=True)
class Compared:
    """Comparison of a generated answer with the evaluated one: ``equal``, ``tie`` or ``different``.

    A tie is a difference where the two most likely tokens were closer than the accuracy of the logits.
    """

    verdict: str
    margin: float


def certify(
    exported: Path,
    job: CertificateJob,
    sets: Sequence[tuple[Path, Path]],
    texts: Sequence[Path],
    evaluations: Sequence[tuple[Path, Path]],
) -> dict[str, Any]:
    """Return the content of the certificate.

    Args:
        exported: the exported folder.
        job: prompts of the training, accuracy, and how answers were generated.
        sets: folders ``instructions/<set>`` and ``encoded/<set>`` of each set that the model was trained on.
        texts: test texts, JSONL.
        evaluations: the test rows of an evaluated set, and the evaluation's result with the model's answers.

    Raises:
        CertificateRefused: logits or an answer differ, or the template renders what it must refuse.
        ConversionMismatch: a prompt or a text has other token ids than in training.
    """
    import tokenizers
    import transformers

    encoder, parity = load_encoder(exported), orjson.loads((exported / PARITY).read_bytes())
    shapes, rows = read_sets(sets)
    ends = ends_of_answers(encoder, job, shapes)
    steps = 3 + len(evaluations)
    progress.report(0, steps, now="token ids")
    token_ids = check_tokenizers(exported, rows, texts, ends, job.encoding)
    progress.report(1, steps, now="chat template")
    refusals = check_refusals(load_tokenizer(exported), encoder.reserved_names, job.encoding.prompt.for_questions)
    certificate: dict[str, Any] = {
        "answers": None,
        "export": parity,
        "files": digests(exported),
        "logits": None,
        "refused": refusals,
        "token_ids": token_ids,
        "versions": {
            "tokenizers": tokenizers.__version__,
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
        },
    }
    if not job.parity_tokens:
        return certificate
    progress.report(2, steps, now="logits")
    model = load_exported(exported)
    certificate["logits"] = check_logits(model, parity, job)
    # two logits may each be off by the difference, so tokens that are this close may change places
    limit = 2 * max(job.tolerance, parity["rounding"], certificate["logits"]["largest_difference"])
    greedy = Greedy(model, encoder, load_tokenizer(exported), job.max_new_tokens, limit)
    answers: Counter[str] = Counter({"equal": 0, "tie": 0})
    for number, (test, result) in enumerate(evaluations, start=3):
        progress.report(number, steps, now="answers")
        for question, expected in evaluated_questions(test, result, encoder, job, greedy.context):
            compared = greedy.compare(question, expected)
            if compared.verdict == "different":
                raise CertificateRefused(
                    f"The exported model answers row {question.digest} of {test} differently from the evaluated one, "
                    f"where the two most likely tokens are {compared.margin:.2g} apart, more than {limit:.2g}.",
                    "Export the model that was evaluated, or raise export.tolerance if you know why they differ.",
                )
            answers[compared.verdict] += 1
    certificate["answers"] = {**answers, "tie_limit": round(limit, DIGITS)}
    return certificate


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by its path, sorted."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def load_exported(folder: Path) -> "PreTrainedModel":
    """Return the model as transformers loads it, in 32-bit floats."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model.eval()


def check_logits(model: "PreTrainedModel", parity: Mapping[str, Any], job: CertificateJob) -> dict[str, Any]:
    """Compare logits with those that the trained model gave when it was exported.

    Raises:
        CertificateRefused: they differ by more than ``job.tolerance``.
    """
    ids = fixed_tokens(model.config.vocab_size, parity["tokens"])
    with torch.no_grad():
        found = summary(model(ids).logits)
    expected = parity["logits"]
    difference = max(
        abs(one - other)
        for name in ("largest", "log_sum_exp")
        for one, other in zip(found[name], expected[name], strict=True)
    )
    if not difference <= job.tolerance + 10**-DIGITS:
        raise CertificateRefused(
            f"Logits in the current transformers differ from the trained model's by {difference:.2e}, more than "
            f"{job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    return {"largest_difference": round(difference, DIGITS), "tokens": parity["tokens"]}


def evaluated_questions(
    test: Path, result: Path, encoder: Encoder, job: PromptsJob, context: int
) -> list[tuple[Question, str]]:
    """Return the questions that an evaluation asked, each with the answer that it got.

    Args:
        test: test rows of an instruction set.
        result: the evaluation of the trained model on it.
        encoder: the exported tokenizer.
        job: prompts of the training.
        context: maximum number of tokens of a sequence.
    """
    given = orjson.loads(result.read_bytes())["result"]["answers"]
    answers = {answer.digest: answer.generated for answer in map(EvaluatedAnswer.model_validate, given)}
    questions = encode_questions(encoder, job.encoding, context, read_questions(test))
    found = [(question, answers[question.digest]) for question in questions if question.digest in answers]
    if len(found) < len(answers):
        raise CertificateRefused(
            f"{result} has {len(answers)} answers, but only {len(found)} of their rows can be asked again.",
            "Build the evaluation again.",
        )
    return found


@dataclass(frozen=True)
class Greedy:
    """Answers of an exported model, by transformers with the exported settings of generation.

    Attributes:
        model: the exported model.
        encoder: its tokenizer.
        tokenizer: its tokenizer as transformers loads it, for stop strings.
        max_new_tokens: maximum length of an answer.
        limit: distance of two logits below which the tokens may change places.
    """

    model: "PreTrainedModel"
    encoder: Encoder
    tokenizer: "PreTrainedTokenizerFast"
    max_new_tokens: int
    limit: float

    @property
    def context(self) -> int:
        """Maximum number of tokens of a sequence."""
        return int(self.model.config.max_position_embeddings)

    @property
    def ends(self) -> set[int]:
        """Tokens that end an answer."""
        ids = self.model.generation_config.eos_token_id
        return {ids} if isinstance(ids, int) else set(ids)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def compare(self, question: Question, expected: str, as_served: bool = False) -> Compared:
        """Answer a question and compare the answer with another one.

        Args:
            question: the question.
            expected: the other answer.
            as_served: True if that is the text of a server, whose tokenizer writes bytes that are no UTF-8 differently.
        """
        ids, pieces = torch.tensor([question.prompt]), self.encoder.size
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=min(self.max_new_tokens, self.context - ids.size(1)),
            pad_token_id=min(question.stop_ids),
            output_logits=True,
            return_dict_in_generate=True,
            suppress_tokens=list(range(pieces, self.model.config.vocab_size)) or None,
            tokenizer=self.tokenizer,
        )
        tokens = output.sequences[0, ids.size(1) :].tolist()
        text = self._served_text if as_served else self._evaluated_text
        if text(question, tokens) == expected:
            return Compared("equal", 0.0)
        index = next(
            (
                number
                for number in range(len(tokens))
                if not expected.startswith(text(question, tokens[: number + 1]).rstrip(REPLACEMENT))
            ),
            len(tokens) - 1,
        )
        first, second = output.logits[index][0, :pieces].topk(2).values.tolist()
        return Compared("tie" if first - second <= self.limit else "different", first - second)

    def _evaluated_text(self, question: Question, tokens: Sequence[int]) -> str:
        return answer_text(self.encoder, question, tokens, self.ends)[0]

    def _served_text(self, question: Question, tokens: Sequence[int]) -> str:
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        return text.partition(question.stop)[0] if question.stop else text


def check_refusals(tokenizer: "PreTrainedTokenizerFast", reserved: Iterable[str], own_template: bool) -> dict[str, int]:
    """Check that the chat templates refuse what was not trained, above all names that would become control pieces.

    Args:
        tokenizer: the exported tokenizer.
        reserved: names that no message may contain.
        own_template: True if the template is that of the base model, which decides about roles itself.

    Returns:
        the number of refused requests, by kind.

    Raises:
        CertificateRefused: a template renders one of them.
    """
    stored = tokenizer.chat_template
    templates = sorted(set(stored.values())) if isinstance(stored, dict) else [stored]
    names = [[{**USER, "content": text}] for name in reserved for text in (name, f"a{name}b", f"{name}\n")]
    roles: list[list[dict[str, Any]]] = [[TOOL], [USER, TOOL], [USER, USER], [ANSWER], [USER, ANSWER]]
    roles += [[USER, SYSTEM], [SYSTEM, SYSTEM, USER], [{**USER, "content": None}], [{**USER, "content": [1]}]]
    kinds = {"reserved_names": names, **({} if own_template else {"roles": roles})}
    for template in templates:
        for requests in kinds.values():
            for messages in requests:
                _must_refuse(tokenizer, template, messages)
    return {kind: len(templates) * len(requests) for kind, requests in kinds.items()}


def _must_refuse(tokenizer: "PreTrainedTokenizerFast", template: str, messages: list[dict[str, Any]]) -> None:
    try:
        tokenizer.apply_chat_template(messages, chat_template=template, add_generation_prompt=True)
    except (TemplateError, TypeError):
        return
    raise CertificateRefused(
        f"The chat template renders {messages!r:.100}, which the training had not.",
        "Report it; the export is at fault.",
    )
