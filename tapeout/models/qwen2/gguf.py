"""Layout of a Qwen2 in a GGUF file: queries, keys and values have biases."""

from tapeout.models.gguf_layout import IN_LAYER, Layout

BIASES = {f"attn_{kind}.bias": f"self_attn.{kind}_proj.bias" for kind in "qkv"}
LAYOUT = Layout(
    architecture="qwen2",
    constants={
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "use_sliding_window": False,
    },
    in_layer={**IN_LAYER, **BIASES},
)
