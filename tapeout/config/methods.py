"""Parameters of training methods without a section in the configuration.

A separate module, so that training runs do not depend on it.
"""

from typing import Annotated, Any

from pydantic import PlainValidator, SerializeAsAny, ValidationError, WithJsonSchema

from tapeout.config.plugin_options import plugin_class, with_hints
from tapeout.config.training import Training

SEAM = "tapeout.train.methods"


def _validate(value: Any) -> dict[str, Training]:
    """Validate the parameters of each method with the model that its module provides."""
    if not isinstance(value, dict):
        raise ValueError("must map a training method to its parameters")
    methods = {}
    for name, parameters in value.items():
        model = plugin_class(SEAM, name, "Parameters", Training, "method")
        try:
            methods[name] = model.model_validate(parameters)
        except ValidationError as error:
            raise with_hints(error, model, (name,)) from error
    return methods


Methods = Annotated[
    dict[str, SerializeAsAny[Training]],
    PlainValidator(_validate),
    WithJsonSchema({"type": "object", "additionalProperties": {"type": "object"}}),
]
"""Parameters by method: a module of ``tapeout.train.methods``, or a dotted module name."""
