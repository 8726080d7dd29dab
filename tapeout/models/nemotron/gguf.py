"""Layout of a Nemotron in a GGUF file: no gate, norms with biases, and weights of norms that are not reduced by 1."""

from tapeout.models.gguf_layout import BIASES_OF_NORMS, IN_LAYER, OUTSIDE_LAYERS, Layout

LAYOUT = Layout(
    architecture="nemotron",
    constants={
        "architectures": ["NemotronForCausalLM"],
        "model_type": "nemotron",
        "hidden_act": "relu2",
        "attention_bias": False,
        "mlp_bias": False,
    },
    epsilon=("attention.layer_norm_epsilon", "norm_eps"),
    in_layer={**{name: known for name, known in IN_LAYER.items() if "gate" not in name}, **BIASES_OF_NORMS},
    outside_layers={**OUTSIDE_LAYERS, "output_norm.bias": "model.norm.bias"},
    norm_offset=1,
    partial=True,
)
