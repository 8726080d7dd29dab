"""Extend a model by embedding and output rows for the new pieces of its tokenizer.

Only the embedding and the output layer change. All tensors are written from the mapped files of the base model, and
only new rows are computed, so that the memory needed is that of the new rows, whatever the size of the model.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.config.base import BaseExtended
from tapeout.encoder.load_vocabulary import load_vocabulary
from tapeout.models.changed_model import ChangedWeights, empty_model, write_model
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, write_tokenizer
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.models.weights_writer import MAX_SHARD_BYTES, Stacked
from tapeout.tokenizer.initial_rows import INITIAL_ROWS
from tapeout.tokenizer.surgery import centroid, check_old_rows, new_rows, parts_of_new_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def extend_model(
    folder: Path, tokenizer: Path, job: BaseExtended, output: Path, max_shard_bytes: int = MAX_SHARD_BYTES
) -> dict[str, Any]:
    """Append a row for every new piece to the input embedding and to the output layer.

    The methods are those of ``tapeout.tokenizer.initial_rows``. Input rows are by default the mean of the rows of the
    piece's parts. Output rows are zero by default, as in the ChipNeMo paper. Neither is free: a zero row has logit 0
    everywhere, and a mean row is probable wherever its parts are, which takes probability from them. Measured on the
    default base model, before any further training, zero costs 1.0 % more bits per byte on general text and the mean
    3.3 %; on domain text zero is better as well (3.80 against 3.86 bits per byte). For a base model whose trained
    logits lie far below 0 the mean would be better, so this is a parameter, and the choice is recorded.

    A model may have more rows than its tokenizer has pieces; new pieces take the first of these. Rows that fill the
    matrices up to a multiple of ``pad_to`` belong to no piece, so no text has their ids. Their input rows are zero.
    Their output rows are the mean of all old ones: as the logit is then the mean of the old logits, it is never the
    largest, and by Jensen's inequality its probability is less than 1 / v, for v old rows. A zero row would win
    wherever all trained logits are negative.

    With tied embeddings input and output are one matrix, made as the input is: with zeros the model could not read the
    new pieces. The model keeps its type of numbers; rows are computed in 32 bits.

    Args:
        folder: Hugging Face folder of the model.
        tokenizer: file of the extended vocabulary.
        job: initial values.
        output: new Hugging Face folder.
        max_shard_bytes: size at which another file of weights begins.

    Returns:
        the content of extension.json.

    Raises:
        InvalidVocabulary: the tokenizer does not extend the model's own, or an old row changed.
        UnusableModel: the weights of the model are incomplete.
    """
    family, config, weights = family_of(folder), checked_config(folder), FolderWeights(folder)
    model = empty_model(family.model_class(), config)
    embedding, head = (
        _names_of(model, layer.weight) for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    tied = embedding == head
    vocabulary, longer = load_vocabulary(tokenizer_path(folder)), load_vocabulary(tokenizer)
    parts = parts_of_new_pieces(vocabulary, longer)
    output_init = job.embedding_init if tied else job.output_init
    mixtures = {init: INITIAL_ROWS[init](vocabulary, longer) for init in {job.embedding_init, output_init}}
    size, used = vocabulary.encoder.size, longer.encoder.size
    rows = -(-max(used, config.vocab_size) // job.pad_to) * job.pad_to
    extended = empty_model(family.model_class(), type(config)(**config.to_dict() | {"vocab_size": rows}))
    names = set(extended.state_dict()) - set((extended._tied_weights_keys or ()) if tied else ())
    for name in sorted(names - set(weights)):
        raise UnusableModel(f"The model in {folder} has no tensor {name}.", "Use a complete model.")
    changed = {}
    for name in names & (embedding | head):
        before = weights[name]
        old = before[:size]
        new = new_rows(old, mixtures[job.embedding_init if name in embedding else output_init])
        padding = before.new_zeros(rows - max(used, len(before)), before.shape[1])
        if name in head and len(padding):
            padding[:] = centroid(old)
        changed[name] = Stacked([old, new, before[used:], padding])  # new pieces take the first padding of the base
    write_model(extended, ChangedWeights(weights, changed, names), folder, output, max_shard_bytes)
    check_old_rows({name: weights[name][:size] for name in changed}, FolderWeights(output))
    write_tokenizer(family, tokenizer, config.max_position_embeddings, output)
    return {
        "rows_before": config.vocab_size,
        "rows_after": rows,
        "padded_rows": rows - used,
        "embedding_init": job.embedding_init,
        "output_init": output_init,
        **({"tied": True} if tied else {}),
        "parts_a_piece": sum(map(len, parts)) / max(1, len(parts)),
        "old_rows_unchanged": True,
    }


def _names_of(model: "PreTrainedModel", weight: Any) -> set[str]:
    """Return the names of a parameter in the model's state dict, two if input and output are tied."""
    return {name for name, parameter in model.named_parameters(remove_duplicate=False) if parameter is weight}
