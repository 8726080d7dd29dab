"""A loaded model as a model of lm-eval, with the log-likelihoods and answers of its Hugging Face backend."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch.nn.functional import log_softmax

from tapeout import progress
from tapeout.errors import TapeoutError
from tapeout.evals.generation import greedy
from tapeout.evals.loaded_model import LoadedModel

Request = tuple[Any, list[int], list[int]]
"""Text of a request, tokens of its context, and tokens that are scored."""


GREEDY = {"until", "do_sample", "max_gen_toks", "temperature", "top_p", "top_k"}
"""Settings of generation that are heeded, or have no effect on greedy answers."""
NEUTRAL: dict[str, Any] = {"num_beams": 1, "repetition_penalty": 1.0, "length_penalty": 1.0, "num_return_sequences": 1}
"""Values of other settings that change nothing."""


class UnsupportedRequest(TapeoutError):
    """A task of lm-eval asks for something that the evaluation does not do."""


class HarnessModel(TemplateLM):  # type: ignore[misc]
    """Answers lm-eval's requests with a loaded model.

    Every prompt is plain text after the token that begins a sequence; a prompt that is too long loses its beginning.

    Attributes:
        truncated: requests whose prompt was shortened, by the name of the task.
    """

    def __init__(self, model: LoadedModel, batch_tokens: int, max_new_tokens: int, batch_rows: int) -> None:
        """Wrap a model.

        Args:
            model: the model.
            batch_tokens: tokens of a forward pass while scoring, padding included.
            max_new_tokens: maximum length of an answer if its task states none.
            batch_rows: answers that are generated at once.
        """
        super().__init__()
        self.truncated: dict[str, int] = {}
        self._model, self._batch_tokens = model, batch_tokens
        self._max_new_tokens, self._batch_rows = max_new_tokens, batch_rows
        self._context = model.facts.context

    @property
    def eot_token_id(self) -> int:
        """The id that ends a text."""
        return self._model.encoder.eos

    @property
    def _ends(self) -> frozenset[int]:
        """The ids that end an answer: those of the model's generation config too, as in the Hugging Face backend."""
        found = getattr(self._model.network, "generation_config", None)
        ids = getattr(found, "eos_token_id", None)
        return frozenset([self.eot_token_id, *(ids if isinstance(ids, list) else [] if ids is None else [ids])])

    @property
    def prefix_token_id(self) -> int:
        """The id that a text without a prompt is scored after."""
        bos = self._model.encoder.bos
        return self.eot_token_id if bos is None else bos

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        """Return the ids of a text, after the one that begins a sequence unless ``add_special_tokens`` is false."""
        begin = [] if add_special_tokens is False else self._model.encoder.bos_ids
        return [*begin, *self._model.encoder.encode(string)]

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each continuation, and True if it is the greedy one."""
        for request in requests:
            if not request.args[1]:
                raise UnsupportedRequest(
                    f"The task {request.task_name} of lm-eval scores an empty text.",
                    "Correct the task, or remove it from evaluation.tasks.lm_eval.tasks.",
                )
            length = len(self.tok_encode("".join(request.args)))
            self._count(request, length > self._context + 1)
        scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return scores

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of each whole text, in windows of the context that share one token."""
        windows: list[Request] = []
        counts = []
        for request in requests:
            cut = get_rolling_token_windows(
                token_list=self.tok_encode(request.args[0]),
                prefix_token=self.prefix_token_id,
                max_seq_len=self._context,
                context_len=1,
            )
            own = [(None, *make_disjoint_window(window)) for window in cut]
            windows += own
            counts.append(len(own))
        scores = iter(self._loglikelihood_tokens(windows))
        return [sum(next(scores)[0] for _ in range(count)) for count in counts]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the greedy continuation of each prompt, up to a stop text or the limit of its task.

        The limit is at most half of the context, so that a prompt keeps the other half.
        """
        groups: dict[tuple[int, tuple[str, ...]], list[int]] = {}
        for index, request in enumerate(requests):
            settings = normalize_gen_kwargs(request.args[1], self._max_new_tokens)
            if settings["do_sample"]:
                raise UnsupportedRequest(
                    f"The task {request.task_name} of lm-eval samples answers (generation_kwargs: do_sample).",
                    "Answers are greedy here: set do_sample: false in a copy of the task in your folder of tasks.",
                )
            other = sorted(
                name
                for name in settings.keys() - GREEDY
                if name not in NEUTRAL or settings[name] not in (None, NEUTRAL[name])
            )
            if other:
                raise UnsupportedRequest(
                    f"The task {request.task_name} of lm-eval sets {other[0]} for its answers (generation_kwargs).",
                    "Answers are greedy here: remove it in a copy of the task in your folder of tasks.",
                )
            stops = handle_stop_sequences(settings.get("until"), eos=None)
            limit = max(1, min(settings["max_gen_toks"], self._context // 2))
            groups.setdefault((limit, tuple(stops)), []).append(index)
        answers = [""] * len(requests)
        for (limit, stops), indices in sorted(groups.items()):
            for index, text in zip(indices, self._answers([requests[i] for i in indices], limit, stops), strict=True):
                answers[index] = text
        return answers

    def _answers(self, requests: Sequence[Instance], limit: int, stops: Sequence[str]) -> list[str]:
        encoder, room, prompts = self._model.encoder, self._context - limit, []
        for request in requests:
            ids = self.tok_encode(request.args[0])
            self._count(request, len(ids) > room)
            prompts.append(ids[-room:])
        written: list[list[int]] = [[] for _ in requests]

        def choose(logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
            """Return the likeliest tokens, and the end of the text where a stop text has been written."""
            chosen = logits.argmax(-1)
            for position, row in enumerate(rows):
                text = encoder.decode(written[row]) if stops else ""
                if any(stop in text for stop in stops if stop):
                    chosen[position] = self.eot_token_id
                written[row].append(int(chosen[position]))
            return chosen

        generated = greedy(
            self._model.network,
            prompts,
            self._ends,
            encoder.size,
            limit,
            self._context,
            self._batch_rows,
            lambda done: progress.report(done, len(requests), now="answers"),
            choose,
        )
        texts = (encoder.decode([token for token in tokens if token not in self._ends]) for tokens in generated)
        return [postprocess_generated_text(text, list(stops), None) for text in texts]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _loglikelihood_tokens(self, requests: list[Request], **_: Any) -> list[tuple[float, bool]]:
        """Return the log-likelihood of each request's tokens, and True if each is the likeliest after those before."""
        scores = [(0.0, True)] * len(requests)
        network, done = self._model.network, 0
        for batch in self._batches(requests):
            inputs = [self._input(requests[index]) for index in batch]
            ids = torch.zeros(len(batch), max(map(len, inputs)), dtype=torch.long)
            for row, tokens in enumerate(inputs):
                ids[row, : len(tokens)] = torch.tensor(tokens)
            hidden = network.model(input_ids=ids, use_cache=False).last_hidden_state
            for row, index in enumerate(batch):
                targets = torch.tensor(requests[index][2])
                end = len(inputs[row])
                states = hidden[row, end - len(targets) : end]
                logits = network.lm_head(states).float()
                values = log_softmax(logits, -1).gather(1, targets[:, None])
                scores[index] = (float(values.double().sum()), bool((logits.argmax(-1) == targets).all()))
            done += len(batch)
            progress.report(done, len(requests), now="log-likelihoods")
        return scores

    def _input(self, request: Request) -> list[int]:
        """Return what the model reads: all but the last token, at most the context, without what is before."""
        _, context, scored = request
        if len(scored) > self._context:
            raise UnsupportedRequest(
                f"A continuation has {len(scored)} tokens, more than the model's context of {self._context}.",
                "Remove the task of lm-eval, or evaluate models with a larger context.",
            )
        return [*context, *scored][-(self._context + 1) : -1]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Yield the indices of requests that share a forward pass, from long to short."""
        sizes = [len(self._input(request)) for request in requests]
        batch: list[int] = []
        for index in sorted(range(len(requests)), key=lambda index: -sizes[index]):
            if batch and sizes[batch[0]] * (len(batch) + 1) > self._batch_tokens:
                yield batch
                batch = []
            batch.append(index)
        if batch:
            yield batch

    def _count(self, request: Instance, truncated: bool) -> None:
        name = request.task_name
        self.truncated[name] = self.truncated.get(name, 0) + truncated
