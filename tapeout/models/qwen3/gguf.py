"""Layout of a Qwen3 in a GGUF file: queries and keys have norms."""

from tapeout.models.gguf_layout import IN_LAYER, Layout

NORMS = {f"attn_{kind}_norm.weight": f"self_attn.{kind}_norm.weight" for kind in "qk"}
LAYOUT = Layout(
    architecture="qwen3",
    constants={
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_act": "silu",
        "attention_bias": False,
        "use_sliding_window": False,
    },
    in_layer={**IN_LAYER, **NORMS},
)
