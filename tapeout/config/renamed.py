"""Configuration keys that were renamed or removed: an old key gives an error that names the new one."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

RENAMED: dict[str, str] = {
    # corpus
    "corpus.*.maximum_bytes": "corpus.*.max_bytes",
    "corpus.*.minimum_characters": "corpus.*.min_characters",
    "corpus.general.test_share": "corpus.general.test_fraction",
    # pretraining
    "pretraining.append_end": "pretraining.append_eod",
    "pretraining.components.*.maximum_bytes": "pretraining.components.*.max_bytes",
    "pretraining.components.*.minimum_characters": "pretraining.components.*.min_characters",
    "pretraining.near_duplicates.words": "pretraining.near_duplicates.ngram_words",
    "pretraining.quality.longest_line": "pretraining.quality.max_line_characters",
    "pretraining.quality.smallest_share_of_words": "pretraining.quality.min_word_fraction",
    "pretraining.quality.largest_share_of_repeats": "pretraining.quality.max_repeated_fraction",
    # evaluation
    "evaluation.max_bytes": "evaluation.tasks.bits_per_byte.max_bytes",
    "evaluation.max_document_bytes": "evaluation.tasks.bits_per_byte.max_document_bytes",
    "evaluation.overlap": "evaluation.tasks.bits_per_byte.overlap",
    "evaluation.max_rows": "evaluation.tasks.instruction_answers.max_rows",
    "evaluation.max_new_tokens": "evaluation.tasks.instruction_answers.max_new_tokens",
    "evaluation.kept_generations": "remove it: a result holds all answers",
    "evaluation.generation_batch_rows": "evaluation.tasks.instruction_answers.generation_batch_rows",
    "evaluation.score_batch_tokens": "evaluation.tasks.*.score_batch_tokens: one for each task",
    # data_report
    "data_report.words": "data_report.ngram_words",
    "data_report.covered": "data_report.min_overlap",
    "data_report.common_share": "data_report.common_fraction",
    "data_report.shown": "data_report.max_examples",
    "data_report.gates.without_target": "data_report.gates.without_loss",
    # tokenizer
    "tokenizer.longest_piece": "tokenizer.max_piece_characters",
    "tokenizer.smallest_count": "tokenizer.min_count",
    "tokenizer.smallest_sources": "tokenizer.min_sources",
    "tokenizer.general_rate": "tokenizer.max_general_rate",
    "tokenizer.general_change": "tokenizer.max_general_change",
    "tokenizer.digits": "tokenizer.allow_digits",
    # comparison
    "comparison.fractions": "comparison.floats",
    "comparison.restated": "comparison.ignored",
    # instructions
    "imported": "instructions.sets",
    "instructions.raw": "instructions.sets.rtl",
    "instructions.formatted": "instructions.sets",
    "instructions.splits": "instructions.sets.*.split: one for each set",
    "instructions.own": "name each source as a set under instructions.sets, with format: prompt_response",
    "instructions.raw.context_characters": "instructions.sets.rtl.max_context_characters",
    "instructions.raw.row_characters": "instructions.sets.rtl.max_row_characters",
    "instructions.raw.window_items": "instructions.sets.rtl.max_window_items",
    "instructions.raw.rows_per_excerpt": "instructions.sets.rtl.max_rows_per_excerpt",
    "instructions.raw.rows_per_module": "instructions.sets.rtl.max_rows_per_module",
    "instructions.raw.rows_per_category": "instructions.sets.rtl.max_rows_per_category",
    "instructions.raw.test_rows_per_category": "instructions.sets.rtl.max_test_rows_per_category",
    "instructions.formatted.seed": "instructions.sets.rtl.seed",
    "instructions.formatted.strip_citations": "strip_citations is an option of sets with format: prompt_response",
    "instructions.splits.seed": "instructions.sets.rtl.split.seed",
    "instructions.splits.validation_share": "instructions.sets.rtl.split.validation",
    "imported.rows": "instructions.sets",
    "imported.rows.*.longest_row": "instructions.sets.*.max_row_bytes",
    "imported.train": "instructions.train",
    "imported.prompt": "instructions.prompt",
    # base
    "base.hidden": "base.architecture.hidden_size",
    "base.layers": "base.architecture.num_layers",
    "base.heads": "base.architecture.num_attention_heads",
    "base.key_value_heads": "base.architecture.num_query_groups",
    "base.feed_forward": "base.architecture.ffn_hidden_size",
    "base.sequence": "base.architecture.seq_length",
    "base.rope_theta": "base.architecture.rotary_base",
    "base.norm_epsilon": "base.architecture.layernorm_epsilon",
    "base.initial_deviation": "base.architecture.init_method_std",
    "base.batch": "base.global_batch_size",
    "base.embedding_rate": "base.embedding_lr",
    "base.output_rate": "base.output_lr",
    # training runs
    **{
        f"{section}.{old}": f"{section}.{new}"
        for section in ("base", "dapt", "sft")
        for old, new in {
            "steps": "max_steps",
            "learning_rate": "lr",
            "warm_up": "warmup_steps",
            "final_fraction": "min_lr_fraction",
            "clip": "grad_clip",
        }.items()
    },
    **{
        f"{section}.{old}": f"{section}.{new}"
        for section in ("dapt", "sft")
        for old, new in {
            "global_batch": "global_batch_size",
            "micro_batch": "micro_batch_size",
            "layout.nodes": "layout.num_nodes",
            "layout.processes": "layout.devices",
            "layout.tensor": "layout.tensor_model_parallel_size",
        }.items()
    },
    "dapt.document_bytes": "dapt.max_document_bytes",
    "sft.validate_every": "sft.val_check_interval",
    # site file
    "site.slurm.gpu.per_node": "site.slurm.gpu.gpus_per_node",
    "site.slurm.patience_minutes": "site.slurm.submit_timeout_minutes",
    "site.slurm.late_seconds": "site.slurm.latency_wait_seconds",
    "site.training.leave_minutes": "site.training.exit_before_limit_minutes",
    "site.training.restarts": "site.training.max_restarts",
}
"""New key of each old key, both dotted; ``*`` matches one name.

A value that contains a space is a message for a key without a successor. Keys of the site file begin with ``site.``.
"""


def renamed(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return a sentence part for each outdated key in a configuration, e.g. ``dapt.clip is now dapt.grad_clip``.

    An outdated section is named only if none of its keys is.

    Args:
        config: the nested mapping as read from YAML, not validated.
        prefix: dotted key of the mapping itself, with a trailing dot.
    """
    messages = []
    for name, value in config.items():
        key = f"{prefix}{name}"
        inside = renamed(value, f"{key}.") if isinstance(value, Mapping) else []
        old = next((old for old in RENAMED if _matches(key, old)), None)
        if old is not None and not inside:
            new = RENAMED[old]
            inside = [f"{key}: {new}" if " " in new else f"{key} is now {_filled(new, key, old)}"]
        messages += inside
    return messages


def _matches(key: str, old: str) -> bool:
    return key.count(".") == old.count(".") and all(map(fnmatchcase, key.split("."), old.split(".")))


def _filled(new: str, key: str, old: str) -> str:
    """Return the new key with the names that stand for ``*`` in the old one."""
    names = [name for name, part in zip(key.split("."), old.split("."), strict=True) if part == "*"]
    for name in names:
        new = new.replace("*", name, 1)
    return new
