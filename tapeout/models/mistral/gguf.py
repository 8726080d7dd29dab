"""Layout of a Mistral in a GGUF file: that of a Llama, by which name llama.cpp knows it."""

from tapeout.models.gguf_layout import Layout

LAYOUT = Layout(
    architecture="llama",
    constants={
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_act": "silu",
        "sliding_window": None,
    },
    paired=True,
)
