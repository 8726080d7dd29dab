"""Certificate of an exported model: what a server gives is what was trained and evaluated.

The export itself compares tensors, token ids and logits in the locked versions of its environment
(``parity.json``). The certificate repeats that in the current version of transformers, which servers contain, and adds
what needs the evaluation, the greedy answers, and what the chat template must refuse.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict

from tapeout import progress
from tapeout.config.export import CertificateJob, PromptsJob
from tapeout.deploy.huggingface import DIGITS, PARITY, fixed_tokens, summary
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings
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
LABELLED = {**ANSWER, "label": "l"}
REQUESTS: list[dict[str, Any]] = [
    {"messages": messages, **more}
    for messages in ([USER], [SYSTEM, USER], [USER, ANSWER, USER], [SYSTEM, USER, LABELLED, USER])
    for more in ({}, {"label": "l"})
]
"""Requests with every kind of text; a template renders some of them."""
OTHERS: list[dict[str, Any]] = [
    *({"messages": messages} for messages in ([TOOL], [USER, TOOL], [{**USER, "role": "other"}])),
    *({"messages": [{**USER, "content": content}]} for content in (None, [1], [{"type": "text", "text": "x"}])),
    *(
        {name: [{"title": "f", "text": "x", "type": "function", "function": {"name": "f"}}]}
        for name in ("tools", "documents")
    ),
]
"""Requests that no template of an export renders: other roles, messages that are no text, tools and documents."""
ORDERS: list[dict[str, Any]] = [
    {"messages": messages}
    for messages in ([USER, USER], [ANSWER], [USER, ANSWER], [USER, SYSTEM], [SYSTEM, SYSTEM, USER])
]
"""Orders of roles that no training has."""


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
    import transformers

    encoder, parity = load_encoder(exported), orjson.loads((exported / PARITY).read_bytes())
    shapes, rows = read_sets(sets)
    ends = ends_of_answers(encoder, job, shapes)
    steps = 3 + len(evaluations)
    progress.report(0, steps, now="token ids")
    token_ids = check_tokenizers(exported, rows, texts, ends, job.encoding)
    check_generation(exported, {"bos_token_id": encoder.bos, "do_sample": False, **stop_settings(ends, encoder.eos)})
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
            "tokenizers": version("tokenizers"),
            "torch": torch.__version__.split("+")[0],
            "transformers": transformers.__version__,
        },
    }
    if not parity["tokens"]:
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
    if evaluations:
        certificate["answers"] = {**answers, "tie_limit": round(limit, DIGITS)}
    return certificate


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by its path, sorted."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_generation(folder: Path, expected: Mapping[str, Any]) -> None:
    """Check that answers end as in training, and that the tokenizer has the context of the model.

    Raises:
        CertificateRefused: generation_config.json or tokenizer_config.json says something else.
    """
    generation, config, tokenizer = (
        orjson.loads((folder / name).read_bytes())
        for name in ("generation_config.json", "config.json", "tokenizer_config.json")
    )
    if generation != dict(expected):
        raise CertificateRefused(
            f"generation_config.json says {generation!r:.200}, but the training implies {dict(expected)!r:.200}.",
            "Build export/hf again.",
        )
    if tokenizer["model_max_length"] != config["max_position_embeddings"]:
        raise CertificateRefused(
            "tokenizer_config.json and config.json have different lengths of the context.", "Build export/hf again."
        )


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
    expected = parity["logits"]
    with torch.no_grad():
        logits = model(ids).logits
    found = summary(logits)
    # the logit of the token that was the likeliest, so that tokens that change places are noticed
    largest = logits[0].float().gather(-1, torch.tensor(expected["token"])[:, None])[:, 0].tolist()
    pairs = zip((*largest, *found["log_sum_exp"]), (*expected["largest"], *expected["log_sum_exp"]), strict=True)
    difference = max(abs(one - other) for one, other in pairs)
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
            as_served: True if that is the text of a server: its tokenizer writes bytes that are no UTF-8 in another
                way, and white space around the text is not compared, because some servers strip it.
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
        expected = expected.strip() if as_served else expected
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
        return (text.partition(question.stop)[0] if question.stop else text).strip()


def check_refusals(tokenizer: "PreTrainedTokenizerFast", reserved: Iterable[str], own_template: bool) -> dict[str, int]:
    """Check that the chat templates refuse what was not trained, above all names that would become control pieces.

    A name is put into each text of requests that the template renders without it, so that nothing but the name can be
    the reason of the refusal.

    Args:
        tokenizer: the exported tokenizer.
        reserved: names that no message may contain.
        own_template: True if the template is that of the base model, which decides about the order of roles itself.

    Returns:
        the number of refused requests, by kind.

    Raises:
        CertificateRefused: a template renders one of them, or not one of the requests that contain no name.
    """
    stored, counts, names = tokenizer.chat_template, Counter[str](), sorted(reserved)
    for template in sorted(set(stored.values())) if isinstance(stored, dict) else [stored]:
        accepted = [(request, ids) for request in REQUESTS if (ids := _rendered(tokenizer, template, request))]
        if not accepted:
            raise CertificateRefused(
                "A chat template renders no simple request.", "Report it with the template; the export is at fault."
            )
        others = [*OTHERS, *(() if own_template else ORDERS)]
        kinds: dict[str, list[tuple[dict[str, Any], list[int]]]] = {
            "reserved_names": [
                (one, ids) for request, ids in accepted for name in names for one in _with_name(request, name)
            ],
            "other_requests": [({**accepted[-1][0], **other}, []) for other in others],
        }
        for kind, requests in kinds.items():
            for request, without in requests:
                # equal ids: the template ignores that part of the request
                if _rendered(tokenizer, template, request) not in (None, without):
                    raise CertificateRefused(
                        f"The chat template renders {request!r:.120}, which the training had not.",
                        "Report it; the export is at fault.",
                    )
            counts[kind] += len(requests)
    return dict(counts)


def _with_name(request: Mapping[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield the request with a name in each of its texts, and in what is not a text."""
    for place, message in enumerate(request["messages"]):
        changes: list[dict[str, Any]] = [{"content": text} for text in (name, f"a{name}b")]
        changes += [{"content": [{"type": "text", "text": name}]}, {"role": message["role"] + name}]
        changes += [{"label": name}] if "label" in message else []
        for change in changes:
            messages = [*request["messages"]]
            messages[place] = {**message, **change}
            yield {**request, "messages": messages}
    if "label" in request:
        yield {**request, "label": name}


def _rendered(tokenizer: "PreTrainedTokenizerFast", template: str, request: Mapping[str, Any]) -> list[int] | None:
    """Return the ids of a request; None if the template does not render it."""
    try:
        ids = tokenizer.apply_chat_template(
            conversation=request["messages"],
            chat_template=template,
            add_generation_prompt=True,
            return_dict=False,
            **{name: value for name, value in request.items() if name != "messages"},
        )
    except (TemplateError, TypeError):  # TypeError: it adds a text to what is none
        return None
    return list(ids)
