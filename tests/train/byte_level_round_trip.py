"""The part of nemo_round_trip.py with an extended byte-level tokenizer: import, DAPT, SFT on conversations, export."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LINES = ["always @(posedge clk) data <= address; é 漢", "\tWhich port is the output?\r\n\r\n  valid ready  12"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}]\n{{ message['content'] }}<|eot_id|>"
    "{% endfor %}{% if add_generation_prompt %}[assistant]\n{% endif %}"
)
TEXTS = [
    *LINES,
    "",
    "a    b\r\n\t \u2581e\u0301😀",
    "<|im_start|>user <extra_id_2>\x11",
    "a <|eot_id|> <s> b",
    "qzqz qz xj",
]
PLANTED, PLANTED_COPIES = "valid qzqz data qz ready qzqz; ", 60


def round_trip(folder: Path) -> dict[str, Any]:
    """Return what was measured; the models are in ``folder``."""
    import lightning.pytorch as lightning
    import torch
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator

    from tapeout.config.base import BaseExtended
    from tapeout.config.bases.tiny import Base
    from tapeout.config.dapt import Dapt
    from tapeout.config.export import Attribution, CardFacts, ExportJob, Stage
    from tapeout.config.instructions import SPLITS, EncodeJob, Prompt
    from tapeout.config.sft import Sft
    from tapeout.data.encode.encoded_set import encode_set
    from tapeout.data.shards.token_files import read_ids
    from tapeout.deploy.huggingface import export_model
    from tapeout.encoder.load import load_encoder
    from tapeout.encoder.load_vocabulary import load_vocabulary
    from tapeout.models import llama
    from tapeout.models.extend import extend_model
    from tapeout.models.huggingface import new_model, save_model
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.nemo.checkpoint import load_model
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.launch import single_rank
    from tapeout.train.methods import dapt, sft
    from tapeout.train.trainer import train
    from tests.byte_level_material import write_tokenizer
    from tests.train.gradients import gradients_of

    batches: list[list[int]] = []
    gradients: list[dict[str, list[float]]] = []

    class Watching(ForwardStep):
        """Notes the tokens of every sequence."""

        def __call__(self, model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            batches.extend(batch["tokens"].tolist())
            return super().__call__(model, batch)

    class Gradients(lightning.Callback):  # type: ignore[misc]
        """Notes the lengths of the gradients of the new rows, by the matrix, in the first step."""

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            if not gradients:
                found = gradients_of(trainer, folder / "imported")
                names = ("model.embed_tokens.weight", "lm_head.weight")
                gradients.append({name: found[name][-2:].norm(dim=1).tolist() for name in names})

    base = write_tokenizer(folder / "tokenizer", "llama3", lines=LINES, size=320)
    vocabulary = load_vocabulary(base)
    extended = folder / "tokenizer.json"
    extended.write_bytes(vocabulary.with_merges(["q z", "x j"]).content)
    sizes = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 48}
    job = Base.model_validate({"architecture": {**sizes, "seq_length": 64}})
    save_model(new_model(job, base), llama, base, folder / "base")
    extend_model(folder / "base", extended, BaseExtended(output_init="mean"), folder / "extended")
    import_checkpoint(folder / "extended", folder / "imported", folder)
    tokenizer = tokenizer_path(folder / "imported")
    encoder = load_encoder(tokenizer)

    text = folder / "text" / "test.jsonl"
    text.parent.mkdir()
    text.write_text(json.dumps({"text": PLANTED * PLANTED_COPIES}) + "\n")
    rates = {"lr": 0.02, "warmup_steps": 1, "seq_length": 64, "global_batch_size": 2, "micro_batch_size": 2}
    pretraining = Dapt(max_steps=40, threads=1, **rates)
    destroy_num_microbatches_calculator()
    rank = single_rank(folder / "dapt work")
    data = dapt.data(pretraining, tokenizer, {"domain": text, "general": text}, rank.once)
    watched = SimpleNamespace(
        KIND=dapt.KIND,
        files=dapt.files,
        callbacks=lambda _: [Gradients()],
        loss=lambda _: (Watching(), LossReduction()),
    )
    train(folder / "imported", data, pretraining, watched, folder / "dapt", rank)
    adapted, generated = load_model(folder / "dapt"), encoder.bos_ids + encoder.encode(PLANTED + "valid")
    with torch.no_grad():
        for _ in range(6):
            generated.append(int(adapted(torch.tensor([generated])).logits[0, -1].argmax()))
    rows = {
        name: load_model(folder / name).get_input_embeddings().weight[-2:].tolist() for name in ("imported", "dapt")
    }

    instructions, encoded = folder / "instructions" / "talk", folder / "encoded" / "talk"
    instructions.mkdir(parents=True)
    encoded.parent.mkdir()
    turns = [{"from": "User", "value": "qz é\r\n"}, {"from": "Assistant", "value": " yes  qz"}]
    contents = [{"conversations": turns, "mask": "User", "system": "", "category": "c"}]
    contents += [{**contents[0], "conversations": [{"from": "User", "value": "say <|eot_id|> now"}, turns[1]]}]
    for split in SPLITS:
        lines = (json.dumps({**row, "digest": f"{number:064x}"}) + "\n" for number, row in enumerate(contents))
        (instructions / f"{split}.jsonl").write_text("".join(lines))
    prompt = Prompt.model_validate({"tokens": "template", "chat_template": "x.jinja"})
    encoding = EncodeJob(prompt=prompt, chat_template=TEMPLATE, template="{input}{output}", seq_length=64)
    encode_set(instructions, tokenizer, encoding, encoded)
    tuning = Sft(max_steps=2, threads=1, val_check_interval=2, **rates)
    destroy_num_microbatches_calculator()
    rank = single_rank(folder / "sft work")
    data_of_rows = sft.data(tuning, tokenizer, {"encoded": [encoded]}, rank.once)
    train(folder / "dapt", data_of_rows, tuning, sft, folder / "sft", rank)

    text.write_text("".join(json.dumps({"text": line}) + "\n" for line in TEXTS))
    source = Attribution(origin="package example 1.0", licence="Apache-2.0")
    stage = Stage(max_steps=4, global_batch_size=4, seq_length=64)
    export = ExportJob(
        parity_tokens=48,
        encoding=encoding,
        systems=("",),
        tokenizer=source,
        trained_on={"example": source},
        card=CardFacts(new_pieces=2, model="sft/model", stages={"dapt": stage, "sft": stage}),
    )
    export_model(folder / "sft", folder / "export", export, [(instructions, encoded)], [text], {})
    with torch.no_grad():
        ids = torch.tensor([encoder.bos_ids + encoder.encode("valid qz")])
        logits = [load_model(folder / name)(ids).logits for name in ("sft", "export")]
    return {
        "size": encoder.size,
        ".bin": [] if (stored := read_ids(folder / "dapt work/tokens/domain")) is None else stored.tolist(),
        "batches": batches,
        "gradients": gradients[0],
        "rows": rows,
        "generated": generated[-6:],
        "difference": float((logits[0] - logits[1]).abs().max()),
        "report": json.loads((encoded / "report.json").read_text())["train"],
        "ids": {name: load_encoder(tokenizer_path(folder / name)).encode_batch(TEXTS) for name in ("sft", "export")},
        "expected": load_encoder(extended).encode_batch(TEXTS),
    }
