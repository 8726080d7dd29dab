"""Layout of NVIDIA's gated GPT in a GGUF file: that of a StableLM, as in Hugging Face."""

from tapeout.models.gguf_layout import BIASES_OF_NORMS, IN_LAYER, OUTSIDE_LAYERS, Layout

LAYOUT = Layout(
    architecture="stablelm",
    constants={
        "architectures": ["StableLmForCausalLM"],
        "model_type": "stablelm",
        "hidden_act": "silu",
        "use_parallel_residual": False,
        "use_qkv_bias": False,
        "qk_layernorm": False,
    },
    epsilon=("attention.layer_norm_epsilon", "layer_norm_eps"),
    fixed={"use_parallel_residual": False},
    in_layer={**IN_LAYER, **BIASES_OF_NORMS},
    outside_layers={**OUTSIDE_LAYERS, "output_norm.bias": "model.norm.bias"},
    partial=True,
)
