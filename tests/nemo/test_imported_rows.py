"""Fine-tuning on imported rows: as token ids they train the same model, to the byte, as the texts that they are of."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.sft import Sft
from tapeout.data.encode.row_encoder import encode_prompted
from tapeout.encoder.load import load_encoder
from tests.nemo.material import ROWS, content, rows_file, tokenizer_model

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow]
ROOT = Path(__file__).parents[2]
JOB = Sft(steps=4, warm_up=1, seq_length=64, global_batch=4, micro_batch=2, threads=1, validate_every=2)
HALF = len(ROWS) // 2
IMPORT = """
import sys
from pathlib import Path
from tapeout.nemo.process import prepare
prepare(threads=1)
from tapeout.nemo.convert import import_checkpoint
from tests.nemo.material import llama
place = Path(sys.argv[1])
import_checkpoint(llama(place / "source"), place / "base", place)
"""


def python(place: Path, *words: Any) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAPEOUT_", "SLURM_"))}
    environment = {**clean, "PYTHONPATH": str(ROOT), "TMPDIR": str(place)}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_token_ids_train_as_their_texts(tmp_path: Path) -> None:
    python(tmp_path, "-c", IMPORT, tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(tokenizer_model())
    processor = load_encoder(tmp_path)
    (tmp_path / "encoded").mkdir()
    for side, rows in (("train", ROWS[HALF:]), ("validation", ROWS[4:9])):
        encoded = [encode_prompted(row, JOB.template, processor, JOB.seq_length)[0] for row in rows]
        lines = [json.dumps({"ids": ids, "mask": mask}) + "\n" for ids, mask in encoded]
        (tmp_path / "encoded" / f"{side}.jsonl").write_text("".join(lines))
    (tmp_path / "params.json").write_text(JOB.model_dump_json())

    def tune(name: str, train: int | None, validation: int, *more: Any) -> Path:
        place = tmp_path / name
        place.mkdir()
        options = {
            "model": tmp_path / "base",
            "train": rows_file(place / "rows.jsonl", train),
            "validation": rows_file(place / "held_out.jsonl", validation),
            "params": tmp_path / "params.json",
            "output": place / "model",
        }
        python(
            place, "scripts/sft.py", *(word for key, value in options.items() for word in (f"--{key}", value)), *more
        )
        return place / "model"

    texts = tune("texts", None, 9)
    both = tune("both", HALF, 4, "--encoded", tmp_path / "encoded")
    assert content(texts) == content(both)
