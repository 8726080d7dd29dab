"""Training and validation data of methods that train on encoded rows."""

from collections.abc import Sequence
from pathlib import Path

from tapeout.config.training import Training
from tapeout.data.encode.encoded_rows import read_encoded
from tapeout.train.method import Once
from tapeout.train.row_samples import AllRows, Rows, TrainingRows, by_category, write_rows
from tapeout.train.samples import TrainingData

SPLITS = ("train", "validation")


def instruction_data(
    folders: Sequence[Path], job: Training, val_check_interval: int, once: Once, categories: bool = False
) -> TrainingData:
    """Return packed training rows, and all validation rows, of sets of encoded rows.

    Args:
        folders: the sets.
        job: parameters of the training.
        val_check_interval: steps between measurements of the validation loss.
        once: writes a folder once on each machine.
        categories: whether that loss is measured by category.

    Raises:
        BadRow: see ``read_encoded``.
        NotEnoughData: a split has no row.
    """

    def write(output: Path) -> None:
        output.mkdir(parents=True)
        for number, folder in enumerate(folders):
            for split in SPLITS:
                write_rows(read_encoded(folder / f"{split}.jsonl", job.seq_length), output / f"{number}-{split}")

    written = once("rows", write)
    train, validation = (
        Rows(
            [written / f"{number}-{split}" for number in range(len(folders))],
            [f"encoded/{folder.name}/{split}.jsonl" for folder in folders],
        )
        for split in SPLITS
    )
    files = [folder / "validation.jsonl" for folder in folders]
    return TrainingData(
        TrainingRows(train, job),
        AllRows(validation, job.seq_length),
        val_check_interval,
        by_category(validation, files, job.seq_length) if categories else {},
    )
