"""All measures of one model, in the order in which they run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import torch

from tapeout import progress
from tapeout.config.evaluation import EvaluationParameters
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError
from tapeout.evals.answers import EncodedQuestion, encode_questions, score_answers
from tapeout.evals.bits_per_byte import score_documents
from tapeout.evals.generation import greedy
from tapeout.evals.matching import exact_match, rouge_l
from tapeout.evals.result import DIGITS, Answer, CorpusScore, Evaluation, Generation
from tapeout.evals.rows import Document, read_documents, read_questions, sample_documents, sample_questions
from tapeout.nemo.read import load_llama, tokenizer_path

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


_STAGES = 3
"""Units of progress before the answers: two corpora and the loss of the expected answers."""


class VocabularyMismatch(TapeoutError):
    """A model's embedding has fewer rows than its tokenizer has pieces."""


class NothingFits(TapeoutError):
    """No instruction row fits into the model's context."""


@dataclass(frozen=True)
class Subject:
    """The model that is measured, with what belongs to it."""

    model: "LlamaForCausalLM"
    tokenizer: Encoder
    template: str
    context: int


def open_subject(folder: Path, params: EvaluationParameters) -> Subject:
    """Load a model (Hugging Face folder or NeMo checkpoint) in float32, its tokenizer and its prompt template.

    Raises:
        VocabularyMismatch: tokenizer and embedding do not belong together.
    """
    torch.set_num_threads(params.threads)
    torch.use_deterministic_algorithms(True)
    model = load_llama(folder).float().eval()
    tokenizer = load_encoder(tokenizer_path(folder))
    if tokenizer.size > model.config.vocab_size:
        raise VocabularyMismatch(
            f"The tokenizer has {tokenizer.size} pieces, but the model's embedding has only "
            f"{model.config.vocab_size} rows.",
            "Build the model again with the tokenizer that stands beside it.",
        )
    stored = folder / TEMPLATE_FILE
    template = orjson.loads(stored.read_bytes())["template"] if stored.exists() else params.template
    return Subject(model, tokenizer, template, model.config.max_position_embeddings)


def evaluate(model: Path, domain: Path, general: Path, instructions: Path, params: EvaluationParameters) -> Evaluation:
    """Measure a model on test text of both corpora and on held-out instruction rows."""
    questions = read_questions(instructions)
    documents = read_documents(domain), read_documents(general)
    subject = open_subject(model, params)
    sample = sample_questions(questions, params.max_rows)
    encoded = encode_questions(subject.tokenizer, subject.template, sample)
    rows = [row for row in encoded if len(row.prompt) + len(row.answer) <= subject.context]
    if not rows:
        raise NothingFits(
            f"None of {len(sample)} instruction rows fits into the model's context of {subject.context} tokens.",
            "Shorten the rows (context of the instruction section) or lengthen the model's context.",
        )
    progress.report(0, _STAGES + len(rows), now="bits per byte, domain")
    domain_score = score_corpus(subject, documents[0], params)
    progress.report(1, _STAGES + len(rows), now="bits per byte, general")
    general_score = score_corpus(subject, documents[1], params)
    progress.report(2, _STAGES + len(rows), now="loss of expected answers")
    answer_scores = score_answers(subject.model, rows, params.score_batch_tokens)
    progress.report(_STAGES, _STAGES + len(rows), now="answers")
    answers = answer_questions(subject, rows, params)
    return Evaluation(
        template=subject.template,
        context=subject.context,
        vocabulary=subject.model.config.vocab_size,
        parameters=subject.model.num_parameters(),
        rows_in_test=len(questions),
        left_out=len(encoded) - len(rows),
        expected_over_limit=sum(len(row.answer) > params.max_new_tokens for row in rows),
        domain=domain_score,
        general=general_score,
        answer_scores=answer_scores,
        answers=answers,
    )


def score_corpus(subject: Subject, documents: Sequence[Document], params: EvaluationParameters) -> CorpusScore:
    """Score the sample of one corpus's test documents."""
    excerpts = sample_documents(documents, params.max_bytes, params.max_document_bytes)
    scores = score_documents(
        subject.model, subject.tokenizer, excerpts, subject.context, params.overlap, params.score_batch_tokens
    )
    return CorpusScore(documents=scores, documents_in_corpus=len(documents))


def answer_questions(subject: Subject, rows: Sequence[EncodedQuestion], params: EvaluationParameters) -> list[Answer]:
    """Generate answers and compare them with the expected ones."""
    end = subject.tokenizer.eos
    generated = greedy(
        subject.model,
        [row.prompt for row in rows],
        end,
        subject.tokenizer.size,
        params.max_new_tokens,
        subject.context,
        params.generation_batch_rows,
        lambda done: progress.report(_STAGES + done, _STAGES + len(rows), now="answers"),
    )
    kept: dict[str, int] = {}
    answers = []
    for row, tokens in zip(rows, generated, strict=True):
        question = row.question
        finished = tokens[-1] == end
        text = subject.tokenizer.decode(tokens[:-1] if finished else tokens)
        keep = kept.get(question.category, 0) < params.kept_generations
        kept[question.category] = kept.get(question.category, 0) + 1
        generation = Generation(prompt=question.input, generated=text, expected=question.output)
        answers.append(
            Answer(
                digest=question.digest,
                category=question.category,
                source=question.source,
                licence=question.licence,
                exact=exact_match(text, question.output),
                rouge_l=round(rouge_l(text, question.output), DIGITS),
                tokens=len(tokens),
                finished=finished,
                kept=generation if keep else None,
            )
        )
    return answers
