"""Values of different keys that contradict each other are named when the configuration is read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tapeout import plugins
from tapeout.config.load import load_files
from tapeout.config.problems import InvalidConfig
from tapeout.config.training import Training
from tapeout.models.llama import Architecture

ROOT = Path(__file__).parents[2]
LAYOUT = "{devices: 2, tensor_model_parallel_size: 2}"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("sft:\n  seq_length: 512\n", 2, "sft.seq_length is 512, more than the model's context"),
        ("dapt:\n  seq_length: 257\n", 2, "dapt.seq_length is 257, more than the model's context"),
        ("base:\n  architecture:\n    seq_length: 64\n", 3, "is 256, more than"),
        ("export: {parity_tokens: 999}\n", 1, "export.parity_tokens is 999, more than the model's context"),
        (
            "evaluation:\n  tasks:\n    instruction_answers: {max_new_tokens: 256}\n",
            3,
            "leaves no token for a question",
        ),
        (f"dapt:\n  layout: {LAYOUT}\ntokenizer: {{multiple: 5}}\n", 2, "does not divide tokenizer.multiple, 5"),
        (f"dapt:\n  layout: {LAYOUT}\nbase_extended: {{pad_to: 3}}\n", 2, "does not divide base_extended.pad_to, 3"),
        (
            f"base: {{architecture: {{num_query_groups: 1}}}}\nsft:\n  layout: {LAYOUT}\n",
            3,
            "sft.layout.tensor_model_parallel_size is 2, which does not divide base.architecture.num_query_groups, 1",
        ),
        ("dapt:\n  layout: {accelerator: gpu}\n", 2, "accelerator gpu needs gpu_model, because the bytes depend on it"),
        ("dapt:\n  layout: {gpu_model: NVIDIA H200}\n", 2, "gpu_model has no effect where accelerator is cpu"),
        (
            "dapt:\n  layout: {devices: 3, pipeline_model_parallel_size: 3}\n",
            2,
            "dapt.layout.pipeline_model_parallel_size is 3, which does not divide base.architecture.num_layers, ",
        ),
        (
            "base: {architecture: {seq_length: 258}}\ndapt: {layout: {devices: 4, context_parallel_size: 4}}\n",
            2,
            "dapt.layout.context_parallel_size is 4, and twice that does not divide the model's context",
        ),
        ("base: {architecture: {num_attention_heads: 3}}\n", 1, "hidden_size is 128, which is not a multiple of"),
        ("base: {architecture: {num_query_groups: 3}}\n", 1, "is not a multiple of num_query_groups, 3"),
        ("base: {max_steps: 9}\n", 1, "warmup_steps is 60, more than half of max_steps, 9"),
        ("sft:\n  max_steps: 100\n", 2, "val_check_interval is 125, more than max_steps, 100"),
        ("dapt: {max_steps: 5, warmup_steps: 50}\n", 1, "warmup_steps is 50, more than half of max_steps, 5"),
        ("sft: {schedule: wsd}\n", 1, "the schedule wsd needs decay_steps"),
        (
            "sft: {schedule: wsd, max_steps: 250, warmup_steps: 100, decay_steps: 150}\n",
            1,
            "warmup_steps, 100, and decay_steps, 150, leave no step of max_steps, 250, at the peak",
        ),
        (
            "methods:\n  automodel_lora: {seq_length: 128}\n",
            2,
            "automodel_lora.seq_length is 128, less than that",
        ),
        ("methods: {automodel_lora: {layout: {devices: 2}}}\n", 1, "a Hugging Face model is trained in one"),
        ("methods: {automodel_lora: {layout: {recompute: full}}}\n", 1, "which a Hugging Face model does not have"),
        (
            "methods: {automodel_lora: {precision: fp8, layout: {accelerator: gpu, gpu_model: NVIDIA H200}}}\n",
            1,
            "precision is fp8, which a Hugging Face model does not have",
        ),
        (
            "methods: {lora: {precision: fp8, layout: {accelerator: gpu, gpu_model: NVIDIA H200}}}\n",
            1,
            "precision fp8 is not supported for this method",
        ),
        ("methods: {automodel_lora: {max_steps: 40}}\n", 1, "val_check_interval is 50, more than max_steps, 40"),
        ("methods: {automodel_lora: {target_modules: []}}\n", 1, "target_modules"),
        ("dapt: {decay_steps: 30}\n", 1, "decay_steps has no effect with the schedule cosine"),
        ("sft: {schedule: constant, decay_steps: 30}\n", 1, "decay_steps has no effect with the schedule constant"),
        ("sft: {schedule: constant, min_lr_fraction: 0.1}\n", 1, "min_lr_fraction has no effect with the schedule"),
        ("dapt: {schedule: linear}\n", 1, "dapt.schedule must be"),
        ("sft: {selection: best, monitor: val_loss}\n", 1, "monitor names val_loss, which this training does not mea"),
        (
            "sft: {patience: 1, val_check_interval: 9, monitor: validation_loss/}\n",
            1,
            "monitor names validation_loss/,",
        ),
        ("sft: {selection: best, monitor: validation_loss/rtl}\n", 1, "the category rtl, and categories are not mea"),
        (
            "sft: {validation_by_category: true, monitor: validation_loss/rtl}\n",
            1,
            "monitor has no effect without selection: best or patience",
        ),
        ("sft: {selection: best, val_check_interval: 250}\n", 1, "the only validation is that of the last step, 250"),
        ("sft: {patience: 1}\n", 1, "patience, 1, has no effect: the training could end after step 250 at the ear"),
        ("dapt: {selection: best}\n", 1, "the key dapt.selection is unknown"),
        ("dapt: {global_batch_size: 12}\n", 1, "global_batch_size is 12, which is not a multiple of 8"),
        ("dapt: {min_lr_fraction: 1.5}\n", 1, "dapt.min_lr_fraction must be less than 1"),
        ("dapt: {betas: [0.9, 1.0]}\n", 1, "dapt.betas.1 must be less than 1"),
        ("sft: {seed: 4294967296}\n", 1, "sft.seed must be less than 4294967296"),
        (
            "instructions:\n  sets:\n    rtl: {split: {validation: 0}}\n    questions: {split: {validation: 0}}\n",
            3,
            "no set of instructions.train (rtl, questions) has rows for validation",
        ),
        ("instructions: {train: [rtl, question]}\n", 1, "train names question, which is not in sets; did you mean"),
        ("evaluation: {sets: [questions]}\n", 1, "evaluation.sets names questions, which has no test rows"),
        ("evaluation: {sets: [rtl, question]}\n", 1, "does not have; did you mean questions?"),
        ("instructions: {train: [questions]}\n", 1, "asks questions, and no set of instructions.train has test rows"),
        ("evaluation: {tasks: {bits_per_bite: {}}}\n", 1, "bits_per_bite is unknown; did you mean bits_per_byte?"),
        ("evaluation: {adaptation: {tuned: lora}}\n", 1, "adaptation.tuned names lora, which is not one of models"),
        ("export:\n  model: dpo/model\n", 2, "but the configuration has no section methods.dpo."),
        ("export:\n  model: lora/merged\n", 2, "but the configuration has no section methods.lora."),
        ("export:\n  model: lora\n", 2, "but the configuration has no section methods.lora."),
        ("export: {model: sft}\n", 1, "export.model names sft; did you mean sft/model?"),
        ("export: {model: dapt/merged}\n", 1, "did you mean dapt/model?"),
        ("methods: {lora: {}}\nexport: {model: lora/model}\n", 2, "did you mean lora/merged?"),
        ("methods: {lora: {}}\nexport: {model: dpo/model}\n", 2, "no section methods.dpo"),
        ("export: {model: base}\n", 1, "export.model names base, which is not the model of a training."),
        ("export: {model: base_extended}\n", 1, "which is not the model of a training."),
        ("export: {model: export/hf}\n", 1, "which is not the model of a training."),
        ("export: {model: sources/mistral}\n", 1, "which is not the model of a training."),
        ("export: {model: evaluation/sft}\n", 1, "export.model: evaluation/sft is not a model folder"),
        ("export: {model: lora/adapter}\n", 1, "lora/adapter is not a model folder"),
        ("corpus: {general: {names: [serv]}}\n", 1, "corpus.general.names names serv, which is held out"),
        ("corpus: {general: {names: [ibex]}}\n", 1, "the source ibex is in both corpora"),
        ("corpus: {domain: {test: [ibx]}}\n", 1, "names the source ibx, which no sources file has; did you mean ibex?"),
        ("corpus: {general: {max_bytes: 10}}\n", 1, "min_characters is 64 and max_bytes 10"),
        ("tokenizer: {source: mistral}\n", 1, "tokenizer.source names the source mistral, which no sources file has"),
        (
            "pretraining:\n  components:\n    a: {sources: [ibex], weight: 1e308}\n"
            "    b: {sources: [cv32e40p], weight: 1e308}\n",
            3,
            "the weights of the components have no finite sum",
        ),
    ],
)
def test_contradictions(tmp_path: Path, text: str, line: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = tmp_path / "own.yaml"
    own.write_text(text)
    with pytest.raises(InvalidConfig) as found:
        load_files(["config/default.yaml", own])
    statements = [problem.statement for problem in found.value.problems]
    assert any(f"own.yaml, line {line}: " in each and words in each for each in statements), statements
    assert all(problem.fix for problem in found.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        "export: {model: dapt/model}\n",
        "export: {model: sft/model}\n",
        "methods: {lora: {}}\nexport: {model: lora/merged}\n",
        "export: {model: own_stage/model}\n",
        "export: {model: own}\n",
    ],
)
def test_models_that_can_be_exported(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    own = tmp_path / "own.yaml"
    own.write_text(text)
    settings = load_files(["config/default.yaml", own]).settings
    assert settings.export.model in text


def test_every_method_without_a_section_has_the_example_that_its_error_names() -> None:
    methods = {*plugins.available("tapeout.train.methods")} - {"dapt", "sft"}
    assert methods and all((ROOT / "config" / "examples" / f"{name}.yaml").is_file() for name in methods)


@given(
    max_steps=st.integers(1, 40),
    warmup_steps=st.integers(0, 40),
    batch=st.integers(1, 40),
    micro=st.integers(1, 8),
    devices=st.integers(1, 4),
    nodes=st.integers(1, 3),
    tensor=st.integers(1, 4),
    stages=st.integers(1, 3),
    sharing=st.integers(1, 3),
    sequence_parallel=st.booleans(),
    distributed_optimizer=st.booleans(),
    seq_length=st.integers(8, 12),
)
def test_a_training_is_refused_exactly_if_it_cannot_run(
    max_steps: int,
    warmup_steps: int,
    batch: int,
    micro: int,
    devices: int,
    nodes: int,
    tensor: int,
    stages: int,
    sharing: int,
    sequence_parallel: bool,
    distributed_optimizer: bool,
    seq_length: int,
) -> None:
    replicas, left = divmod(nodes * devices, tensor * stages * sharing)
    fits = devices % tensor == 0 and left == 0 and warmup_steps <= max_steps / 2
    fits = fits and batch % (micro * replicas) == 0 and (replicas * sharing > 1 or not distributed_optimizer)
    fits = fits and (sharing == 1 or seq_length % (2 * sharing) == 0)
    fits = fits and (not sequence_parallel or (tensor > 1 and seq_length // sharing % tensor == 0))
    try:
        Training.model_validate(
            {
                "max_steps": max_steps,
                "warmup_steps": warmup_steps,
                "global_batch_size": batch,
                "micro_batch_size": micro,
                "seq_length": seq_length,
                "layout": {
                    "devices": devices,
                    "num_nodes": nodes,
                    "tensor_model_parallel_size": tensor,
                    "pipeline_model_parallel_size": stages,
                    "context_parallel_size": sharing,
                    "sequence_parallel": sequence_parallel,
                    "distributed_optimizer": distributed_optimizer,
                },
            }
        )
    except ValidationError as error:
        assert not fits and error.errors()[0]["type"] == "conflict"
    else:
        assert fits


@given(width=st.integers(8, 96), heads=st.integers(1, 12), groups=st.integers(1, 12))
def test_an_architecture_is_refused_exactly_if_heads_do_not_divide_it(width: int, heads: int, groups: int) -> None:
    fits = width % heads == 0 and heads % groups == 0 and width // heads % 2 == 0
    try:
        Architecture(hidden_size=width, num_attention_heads=heads, num_query_groups=groups)
    except ValidationError:
        assert not fits
    else:
        assert fits
