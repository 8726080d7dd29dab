"""A tiny model in the format of GPT-2B-001, made and run by NeMo's own classes of that time.

nemo_toolkit 2.4.1 still has these classes (``mcore_gpt: False``), but they need pieces of Apex, which has no wheel.
The stand-ins below compute the same in plain PyTorch: softmax, the layer norm whose stored weight is 1 too small, a
division, and Megatron's own enumerations under Apex's names.
"""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

MODULES = ("fused_softmax", "layer_norm_1p", "attention", "mlp", "transformer", "language_model")


def install_apex_stand_ins() -> None:
    """Let NeMo's old transformer find what it uses of Apex; call it after NeMo has been imported."""
    import torch
    from megatron.core import ModelParallelConfig
    from megatron.core.transformer import enums

    class Softmax(torch.nn.Module):
        def __init__(self, half: bool, brain: bool, _: Any, fusion: bool, mask: Any, exact: bool, scale: Any) -> None:
            super().__init__()
            assert not (half or brain or fusion or exact or scale)
            self.mask_func = mask

        def forward(self, scores: Any, mask: Any) -> Any:
            return torch.softmax(self.mask_func(scores, mask), -1)

    class FastLayerNorm(torch.nn.LayerNorm):
        def __init__(self, size: int, eps: float = 1e-5, **_: Any) -> None:
            super().__init__(size, eps)
            self.epsilon = eps

    def layer_norm(x: Any, weight: Any, bias: Any, eps: float, **_: Any) -> Any:
        return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps)

    pieces: dict[str, dict[str, Any]] = {
        "apex": {},
        "apex.normalization": {"MixedFusedRMSNorm": torch.nn.RMSNorm},
        "apex.transformer": {"parallel_state": None, "tensor_parallel": None},
        "apex.transformer.enums": vars(enums),
        "apex.transformer.functional": {},
        "apex.transformer.functional.fused_softmax": {"FusedScaleMaskSoftmax": Softmax},
        "apex.transformer.layers": {},
        "apex.transformer.layers.layer_norm": {"FastLayerNorm": FastLayerNorm},
        "apex.transformer.utils": {"divide": lambda a, b: a // b},
        "apex.contrib": {},
        "apex.contrib.layer_norm": {},
        "apex.contrib.layer_norm.layer_norm": {"FastLayerNorm": FastLayerNorm, "_fast_layer_norm": layer_norm},
    }
    for name, members in pieces.items():
        module = types.ModuleType(name)
        vars(module).update({key: value for key, value in members.items() if not key.startswith("__")})
        module.__path__ = []
        sys.modules[name] = module
    importlib.import_module("nemo.collections.nlp.models.language_modeling.megatron.gpt_model")
    for name in (*MODULES, "models.language_modeling.megatron.gpt_model"):
        prefix = "nemo.collections.nlp." + ("" if "." in name else "modules.common.megatron.")
        importlib.reload(sys.modules[prefix + name])
    for name in pieces:
        del sys.modules[name]
    ModelParallelConfig.get = lambda self, name, default=None: getattr(self, name, default)


def old_config(tokenizer: Path, activation: str) -> dict[str, Any]:
    """Return a configuration with the options of GPT-2B-001, in small."""
    return {
        "mcore_gpt": False,
        "micro_batch_size": 1,
        "global_batch_size": 1,
        "tensor_model_parallel_size": 1,
        "pipeline_model_parallel_size": 1,
        "encoder_seq_length": 64,
        "max_position_embeddings": 64,
        "num_layers": 2,
        "hidden_size": 32,
        "ffn_hidden_size": 48,
        "num_attention_heads": 2,
        "init_method_std": 0.1,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "kv_channels": None,
        "apply_query_key_layer_scaling": False,
        "normalization": "layernorm1p",
        "layernorm_epsilon": 1e-5,
        "make_vocab_size_divisible_by": 128,
        "persist_layer_norm": True,
        "bias": False,
        "activation": activation,
        "transformer_block_type": "pre_ln",
        "position_embedding_type": "rope",
        "rotary_percentage": 0.5,
        "share_embeddings_and_output_weights": False,
        "tokenizer": {"library": "sentencepiece", "type": None, "model": str(tokenizer), "sentencepiece_legacy": False},
        "bias_activation_fusion": False,
        "bias_dropout_add_fusion": False,
        "masked_softmax_fusion": False,
        "gradient_accumulation_fusion": False,
        "use_cpu_initialization": True,
        "precision": "32",
        "optim": {"name": "fused_adam", "lr": 1e-3},
    }


def write_old_archive(archive: Path, tokenizer: Path, activation: str, ids: Any) -> Any:
    """Write an archive of a random model with NeMo's own classes, and return its logits [b, s, v] of ``ids``.

    Call ``install_apex_stand_ins`` first.
    """
    import torch
    from nemo.collections.nlp.models.language_modeling import megatron_gpt_model
    from nemo.collections.nlp.models.language_modeling.megatron.gpt_model import GPTModel
    from nemo.collections.nlp.parts.nlp_overrides import NLPSaveRestoreConnector
    from omegaconf import OmegaConf

    from tapeout.deploy.nemo1_archive import cpu_trainer

    megatron_gpt_model.GPTModel = GPTModel
    torch.manual_seed(1)
    model = megatron_gpt_model.MegatronGPTModel(OmegaConf.create(old_config(tokenizer, activation)), cpu_trainer())
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        logits = model.model.eval()(ids, torch.arange(length)[None], forbidden)
    model._save_restore_connector = NLPSaveRestoreConnector()
    model.save_to(str(archive))
    return logits
