"""The model card of an exported model: README.md, as the Hugging Face Hub shows it.

It contains no digest and no measured number, so that models whose weights are equal within the bounds of a comparison
have equal cards.
"""

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tapeout.config.export import Attribution, ExportJob, Stage
from tapeout.deploy.token_ids import load_tokenizer
from tapeout.encoder.load import load_encoder
from tapeout.models.weights_folder import FolderWeights

CARD = "README.md"
FENCE = "---\n"
"""Line before and after the metadata of a card."""
TAGS = ("chip-design", "verilog", "systemverilog", "domain-adaptation", "tapeout")

LICENCES = """
apache-2.0 mit openrail bigscience-openrail-m bigcode-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 afl-3.0
artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0
cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0
cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0
epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc intel-research
lppl-1.3c ms-pl mpl-2.0 odc-by odbl osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr llama2 llama3 llama3.1
llama3.2 llama3.3 llama4 gemma
"""
HUB_LICENCES = frozenset(LICENCES.split())
"""Identifiers that the Hub accepts as the licence of a model; any other needs the identifier ``other`` and a name."""

QUESTION = "What is the width of the output q of a 4-bit counter?"
"""Question of the example; the text is fixed, because rows of a data set may be confidential."""

PROGRAM = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

name = "."  # the folder of this file, or its repository
tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModelForCausalLM.from_pretrained(name)
messages = {messages}
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
output = model.generate(**inputs, max_new_tokens=64, tokenizer=tokenizer)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
"""
"""Program of the card's example."""

STAGES = {
    "base": "pretraining of the base model from random weights",
    "dapt": "continued pretraining on text of the domain",
    "sft": "instruction tuning with the loss on answers",
    "dpo": "direct preference optimization",
    "lora": "instruction tuning of a low-rank adapter",
    "automodel_lora": "instruction tuning of a low-rank adapter",
}
"""Trainings by the name of their method; another one is named as it is."""

PROMPTS = {
    "conversation": "conversations of a user and the assistant",
    "question": "single questions",
    "prompt": "complete prompts, such as a passage with a question about it",
}
"""Descriptions of training rows, by their shape."""


def write_card(output: Path, job: ExportJob, stated: Mapping[str, Collection[str]], shapes: Sequence[str]) -> None:
    """Write the model card of an exported model.

    Args:
        output: folder of the exported model, with its configuration, weights and tokenizer.
        job: facts of the training and attributions.
        stated: licences that training text states itself, by source; see ``notice.stated_licences``.
        shapes: kinds of the rows that the model was trained on, in the order of ``token_ids.SHAPES``.
    """
    metadata = yaml.safe_dump(_metadata(job), sort_keys=False, allow_unicode=True)
    paragraphs = [
        *_introduction(output, job),
        *_training(job),
        *_data(job, stated),
        *_prompts(output, job, shapes),
        *_use(job),
        *_provenance(job),
    ]
    text = FENCE + metadata + FENCE + "\n" + "\n\n".join(paragraphs) + "\n"
    (output / CARD).write_text(text, encoding="utf-8")


def hub_licence(licence: str) -> dict[str, str]:
    """Return the metadata of a licence: an identifier of the Hub, or ``other`` with a name."""
    identifier = licence.lower()
    if identifier in HUB_LICENCES:
        return {"license": identifier}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", identifier).strip("-.") or "other"}


def _metadata(job: ExportJob) -> dict[str, Any]:
    facts = job.card
    base = {"base_model": facts.base_model, "base_model_relation": "finetune"} if facts.base_model else {}
    return {
        **(hub_licence(facts.licence) if facts.licence else {}),
        **base,
        "language": ["en"],
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": list(TAGS),
    }


def _introduction(output: Path, job: ExportJob) -> list[str]:
    config = json.loads((output / "config.json").read_bytes())
    weights = sum(math.prod(entry.tensor.shape) for entry in FolderWeights(output).entries.values())
    origin = f"the model of {job.base.origin}" if job.base else "a small model that was trained from scratch"
    stages = _listed([STAGES.get(name, name) for name in job.card.stages]) or f"the artifact `{job.card.model}`"
    return [
        "# A language model adapted to chip design",
        f"This is {origin}, adapted to chip design by {stages}.",
        _table(
            ("Property", "Value"),
            [
                ("Architecture", ", ".join(config["architectures"])),
                ("Weights", f"{weights:,} ({config.get('dtype') or config['torch_dtype']})"),
                ("Context", f"{config['max_position_embeddings']:,} tokens"),
                ("Vocabulary", f"{config['vocab_size']:,} rows"),
                ("Licence", job.card.licence or "not stated"),
            ],
        ),
    ]


def _training(job: ExportJob) -> list[str]:
    facts = job.card
    vocabulary = (
        f"The vocabulary is that of {job.tokenizer.origin}, extended by {facts.new_pieces:,} pieces for hardware "
        "description languages."
        if facts.new_pieces
        else f"The vocabulary is that of {job.tokenizer.origin}."
    )
    stages = {**({"base": facts.pretraining} if facts.pretraining else {}), **facts.stages}
    lengths = _table(
        ("Stage", "Steps", "Sequences per step", "Tokens per sequence"),
        [(STAGES.get(name, name), *_lengths(stage)) for name, stage in stages.items()],
    )
    own = [] if facts.stages else [f"A rule of the project makes `{facts.model}`; its training is not described here."]
    return ["## Training", *([lengths] if stages else []), *own, vocabulary]


def _lengths(stage: Stage) -> tuple[str, str, str]:
    return f"{stage.max_steps:,}", f"{stage.global_batch_size:,}", f"{stage.seq_length:,}"


def _data(job: ExportJob, stated: Mapping[str, Collection[str]]) -> list[str]:
    rows = [
        (name, source.origin, "; ".join([source.licence, *sorted(set(stated.get(name, ())) - {source.licence})]))
        for name, source in sorted(job.trained_on.items())
    ]
    return [
        "## Training data",
        _table(("Source", "Origin", "Licences"), rows),
        *_attribution("Base model", job.base),
        *_attribution("Base vocabulary", job.tokenizer),
        "The file `NOTICE` has the same attributions in plain text. Keep it with every copy of the model.",
    ]


def _attribution(what: str, attribution: Attribution | None) -> list[str]:
    return [f"{what}: {attribution.origin}, licence {attribution.licence}."] if attribution else []


def _prompts(output: Path, job: ExportJob, shapes: Sequence[str]) -> list[str]:
    tokenizer = load_tokenizer(output)
    templates = tokenizer.chat_template
    trained = " and ".join(PROMPTS[shape] for shape in shapes)
    template = (
        f"The model was trained on {trained}. The chat template in `tokenizer_config.json` renders the prompts of the "
        "training, token for token, and refuses messages that it was not trained on."
        if job.card.has_seen_questions
        else "The model was trained on plain text, not on questions: give it the beginning of a text to continue. The "
        f"chat template in `tokenizer_config.json` is that of models that are fine-tuned on {trained}; with it this "
        "model can be compared with them."
    )
    paragraphs = ["## Prompts", f"{template} `generation_config.json` states where an answer ends."]
    if isinstance(templates, dict):
        names = ", ".join(f"`{name}`" for name in templates if name != "default")
        paragraphs.append(
            f'There is a template for each kind of prompt: {names}. Select one by `chat_template="…"`; without it the '
            f"template is that of {PROMPTS[shapes[0]]}."
        )
    messages = example(job, shapes)
    if any(name in message["content"] for name in load_encoder(output).reserved_names for message in messages):
        return paragraphs  # the template would refuse the example
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return [
        *paragraphs,
        "A prompt, as the model reads it:",
        _block("text", rendered),
        "A program that asks the model:",
        _block("python", PROGRAM.format(messages=json.dumps(messages, ensure_ascii=False))),
    ]


def example(job: ExportJob, shapes: Sequence[str]) -> list[dict[str, str]]:
    """Return messages that the default chat template renders: a question, after the system message of the training."""
    systems = [text for text in job.systems if text][:1] if shapes[0] == "conversation" else []
    return [*({"role": "system", "content": text} for text in systems), {"role": "user", "content": QUESTION}]


def _use(job: ExportJob) -> list[str]:
    several = len(job.trained_on) > 1
    purpose = (
        "The model is meant for questions about hardware designs and their documentation, as in its training data, and "
        "for research on domain adaptation."
        if job.card.has_seen_questions
        else "The model is meant to be fine-tuned, and for research on domain adaptation. It was not trained to answer "
        "questions or to follow instructions."
    )
    return [
        "## Intended use and limits",
        f"{purpose} Check every answer: like any language model it states falsehoods fluently, and it has seen nothing "
        "but the text listed above after its base model was made.",
        "- Do not sign off, synthesize or tape out code that it writes without the checks that you apply to any code.\n"
        "- It may repeat passages of its training data, whose licences are "
        f"{'those of the sources above' if several else 'that of the source above'}.\n"
        "- It was not trained to refuse harmful requests; an application needs its own filters.\n"
        "- Other languages than English, and other kinds of prompts than those above, were not evaluated.",
    ]


def _provenance(job: ExportJob) -> list[str]:
    return [
        "## Provenance",
        f"Tapeout exported this folder from its artifact `{job.card.model}`. `parity.json` states how the export was "
        "compared with the trained model: every tensor, the logits of a fixed sequence, and the token ids of the test "
        "texts and prompts. The artifact `export/certificate.json` of the same build repeats that in the current "
        "version of transformers and compares the answers with the evaluated ones. The page `eval_report` has the "
        "evaluations, and `tapeout export` packs the whole build, with the digest of every input, for an auditor.",
    ]


def _listed(names: Sequence[str]) -> str:
    """Return names as an English list."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _block(language: str, text: str) -> str:
    """Return a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.removesuffix(chr(10))}\n{fence}"
