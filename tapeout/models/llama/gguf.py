"""Layout of a Llama in a GGUF file; conversion programs of llama.cpp interleave the rows of queries and keys."""

from tapeout.models.gguf_layout import Layout

LAYOUT = Layout(
    architecture="llama",
    constants={
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    },
    paired=True,
    scaled=True,
)
