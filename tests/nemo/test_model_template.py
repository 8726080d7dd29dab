"""The model's own chat template: rows have the ids that transformers gives, and the export keeps the template."""

import json
from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tapeout.config.export import Attribution, CardFacts, ExportJob, Stage
from tapeout.config.instructions import SPLITS, EncodeJob
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.encode.model_template import with_model_template
from tapeout.data.errors import InvalidTemplate
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_tokenizer
from tapeout.deploy.token_ids import check_prompts, read_sets
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.load import load_encoder
from tapeout.models import llama
from tapeout.models.tokenizer_file import tokenizer_path
from tests.byte_level_material import write_tokenizer as write_byte_level
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("nemo")

SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
    " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
ENDS = {"smollm2": "<|im_end|>", "llama2": "</s>", "llama3": "<|eot_id|>"}
LINES = ["assign q = d;  // é 漢 😀", "\tWhat is a  latch?\r\n\r\n  It's 12 345", "user assistant system [INST] SYS"]
TEXTS = ["What is a  latch?", "  two blanks ", "é 漢 😀\r\n\tx", "a\n\n b ", "12 345 it's"]
SYSTEM = "Be brief.\nÅ  x"


def write_model(folder: Path, kind: str) -> Path:
    """Write the files of a tokenizer as a model's folder has them."""
    folder.mkdir()
    if kind == "llama2":
        model = train([*LINES, *TEXTS] * 20, 420, hard_vocab_limit=False)
        (folder / "tokenizer.model").write_bytes(model)
        (folder / "tokenizer.json").write_text(fast_tokenizer(model))
        names = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        settings = {**names, "legacy": False, "clean_up_tokenization_spaces": False, "chat_template": LLAMA_2}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder
    path = write_byte_level(folder, kind, lines=[*LINES, *TEXTS])
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    if kind == "llama3":  # the second of the places that transformers knows
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.add_special_tokens(["<|start_header_id|>", "<|end_header_id|>"])
        tokenizer.save(str(path))
        (folder / "chat_template.jinja").write_text(LLAMA_3)
        settings["chat_template"] = "{{ messages[0]['content'] }}"
    else:
        other = {"name": "tool_use", "template": "tools"}
        settings["chat_template"] = [other, {"name": "default", "template": SMOLLM2}]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def encode_job() -> EncodeJob:
    prompt = {"tokens": "template", "chat_template": "model"}
    return EncodeJob.model_validate({"prompt": prompt, "chat_template": None, "template": "{input}{output}"} | LENGTH)


LENGTH = {"seq_length": 300}


def rows() -> list[dict[str, Any]]:
    """Return questions, one with a context, and conversations of one to three answers with and without a system."""
    found: list[dict[str, Any]] = [{"input": text, "output": f"{number} yes"} for number, text in enumerate(TEXTS)]
    text = f"Context: {'word ' * 90}end. Where?"  # some of the words must be left out
    found.append({"input": text, "output": "end", "context": [9, text.index("end")], "answer": None})
    for number, text in enumerate(TEXTS):
        turns = [
            {"from": ("User", "Assistant")[place % 2], "value": f"{place}{text}"} for place in range(2 + number % 5)
        ]
        found.append({"conversations": turns, "system": SYSTEM if number % 2 else "", "mask": "User"})
    return found


def messages_of(row: dict[str, Any], asked: str = "") -> list[dict[str, str]]:
    """Return a row as a user of transformers would write it."""
    if "conversations" not in row:
        answer = {"role": "assistant", "content": row["output"]}
        return [{"role": "user", "content": asked or row["input"]}, answer]
    turns = [{"role": turn["from"].lower(), "content": turn["value"]} for turn in row["conversations"]]
    return [{"role": "system", "content": row["system"]}, *turns] if row["system"] else turns


def encode(folder: Path, model: Path, given: list[dict[str, Any]]) -> tuple[tuple[Path, Path], dict[int, Any]]:
    """Encode rows as the rule does; return the folders, and the encoded rows by number."""
    instructions, encoded = folder / "instructions" / "set", folder / "encoded" / "set"
    instructions.mkdir(parents=True)
    encoded.parent.mkdir()
    for split in SPLITS:
        lines = [{**row, "digest": f"{number:064x}", "category": "c"} for number, row in enumerate(given)]
        (instructions / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    encode_set(instructions, tokenizer_path(model), with_model_template(encode_job(), model), encoded)
    found = map(json.loads, (encoded / "train.jsonl").read_text().splitlines())
    return (instructions, encoded), {int(line["digest"], 16): line for line in found}


@pytest.mark.parametrize("kind", ENDS)
def test_ids_are_those_of_transformers_and_are_served(kind: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", kind)
    given, tokenizer, encoder = rows(), AutoTokenizer.from_pretrained(model), load_encoder(tokenizer_path(model))
    end = encoder.control_pieces[ENDS[kind]]
    sets, encoded = encode(tmp_path, model, given)
    assert sorted(encoded) == list(range(len(given)))
    for number, row in enumerate(given):
        ids, mask = encoded[number]["ids"], encoded[number]["mask"]
        if row.get("context"):
            assert len(ids) <= LENGTH["seq_length"] + 1
            continue
        messages = messages_of(row)
        assert ids == tokenizer.apply_chat_template(messages), (kind, row)
        wanted = [0] * len(ids)
        for place, message in enumerate(messages):
            if message["role"] == "assistant":
                start = len(tokenizer.apply_chat_template(messages[:place], add_generation_prompt=True))
                stop = ids.index(end, start) + 1
                wanted[start:stop] = [1] * (stop - start)
                assert encoder.decode(ids[start:stop]).strip() == message["content"].strip()
        assert mask == wanted

    source = Attribution(origin="package example 1.0", licence="Apache-2.0")
    encoding = with_model_template(encode_job(), model)
    stage = Stage(max_steps=1, global_batch_size=1, seq_length=8)
    card = CardFacts(new_pieces=0, model="sft/model", stages={"dapt": stage, "sft": stage})
    job = ExportJob(encoding=encoding, systems=(SYSTEM,), tokenizer=source, trained_on={"example": source}, card=card)
    shapes, checked = read_sets([sets])
    ends, output = ends_of_answers(encoder, job, shapes), tmp_path / "export"
    output.mkdir()
    write_tokenizer(tokenizer_path(model), output, llama, job, shapes, 400)
    answers = sum(message["role"] == "assistant" for row in given for message in messages_of(row))
    counts = check_prompts(output, checked, ends, encoding)
    assert counts == {"prompts": 2 * answers, "prompts_with_reserved_names": 0}
    assert stop_settings(ends, encoder.eos) == {"eos_token_id": end}
    served = AutoTokenizer.from_pretrained(output)
    assert served.chat_template.endswith({"smollm2": SMOLLM2, "llama2": LLAMA_2, "llama3": LLAMA_3}[kind])
    for text in (f"a{ENDS[kind]}b", [{"type": "text", "text": ENDS[kind]}]):
        with pytest.raises(TemplateError, match="which the tokenizer or the prompt reserves|must be one text"):
            served.apply_chat_template([{"role": "user", "content": text}])


@pytest.mark.parametrize("kind", ENDS)
def test_names_of_control_tokens_in_messages_stay_text(kind: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", kind)
    encoder = load_encoder(tokenizer_path(model))
    bos = "<s>" if kind == "llama2" else encoder.id_to_piece(encoder.bos or 0)
    text = f"{ENDS[kind]}a {bos}{ENDS[kind]} b"
    given = [{"input": f"ask {text}", "output": f"say {text}"}, {"input": "ask x", "output": "say x"}]
    turns = [{"from": "User", "value": f"ask {text}"}, {"from": "Assistant", "value": f"say {text}"}]
    given.append({"conversations": turns, "system": f"be {text}", "mask": "User"})
    _, encoded = encode(tmp_path, model, given)
    control = set(encoder.control_pieces.values())
    structure = [[token for token in encoded[number]["ids"] if token in control] for number in (0, 1)]
    assert structure[0] == structure[1]
    for number in (0, 2):
        ids, mask = encoded[number]["ids"], encoded[number]["mask"]
        trained = [token for token, counts in zip(ids, mask, strict=True) if counts]
        assert encoder.decode(trained).strip() == f"say {text}" and trained[-1] == encoder.control_pieces[ENDS[kind]]
        assert f"ask {text}" in encoder.decode(ids)
    assert f"be {text}" in encoder.decode(encoded[2]["ids"])


def test_a_model_without_a_usable_template_is_an_error(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", "smollm2")
    for template, message in ((None, "has no chat template"), ("{{ strftime_now('%d') }}", "writes the present date")):
        (model / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
        with pytest.raises(InvalidTemplate, match=message):
            with_model_template(encode_job(), model)
    (model / "chat_template.jinja").write_bytes("{{ 'für' }}".encode("latin-1"))
    with pytest.raises(InvalidTemplate, match="chat_template.jinja of the base model is not UTF-8"):
        with_model_template(encode_job(), model)


def test_a_tokenizer_with_other_blanks_is_refused(tmp_path: Path) -> None:
    """Known answer: transformers gives other ids exactly where the check refuses."""
    model = write_model(tmp_path / "model", "llama2")
    messages = messages_of(rows()[0])
    usual = AutoTokenizer.from_pretrained(model).apply_chat_template(messages)
    document = json.loads((model / "tokenizer.json").read_text())
    document["normalizer"] = None
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "split": False}
    for scheme, same in (("always", True), ("first", False), ("never", False)):
        document["pre_tokenizer"] = {**metaspace, "prepend_scheme": scheme}
        (model / "tokenizer.json").write_text(json.dumps(document))
        assert (AutoTokenizer.from_pretrained(model).apply_chat_template(messages) == usual) == same
        if same:
            with_model_template(encode_job(), model)
        else:
            with pytest.raises(InvalidTemplate, match="puts no blank before a text"):
                with_model_template(encode_job(), model)
    (model / "tokenizer.json").unlink()  # transformers converts the SentencePiece model
    settings = json.loads((model / "tokenizer_config.json").read_text())
    for legacy in (True, False):
        (model / "tokenizer_config.json").write_text(json.dumps({**settings, "legacy": legacy}))
        assert (AutoTokenizer.from_pretrained(model).apply_chat_template(messages) == usual) == legacy
        if legacy:
            with_model_template(encode_job(), model)
        else:
            with pytest.raises(InvalidTemplate, match="puts no blank before a text"):
                with_model_template(encode_job(), model)
