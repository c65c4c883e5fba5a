"""How parameters may be initialised: the names of `torch.nn.init`, their arguments, and the shapes they work on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from archspec.foundation.arguments import Schema, choice, either, number
from archspec.foundation.errors import Fault, Mark
from archspec.foundation.shapes import Shape, show
from archspec.layers.primitive import Primitive


@dataclass(frozen=True)
class Initializer:
    """A function of `torch.nn.init`: the types of its arguments, and the fewest axes of a parameter it works on."""

    doc: str
    """What it gives, in a line."""
    arguments: dict[str, Schema]
    least_axes: int = 0
    required: tuple[str, ...] = ()
    """The arguments without a default."""
    bounds: tuple[float, float] | None = None
    """torch's own values of `a` and `b`, where these are the bounds of what is drawn."""


_GAIN = {"gain": number(0)}
_KAIMING: dict[str, Schema] = {
    "a": number(),
    "mode": choice("fan_in", "fan_out"),
    "nonlinearity": choice("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu"),
}
INITIALIZERS = {
    "constant": Initializer("One number, `val`: never by its name alone.", {"val": number()}, required=("val",)),
    "zeros": Initializer("Zeros.", {}),
    "ones": Initializer("Ones.", {}),
    "normal": Initializer("Drawn from a normal distribution.", {"mean": number(), "std": number(0)}),
    "trunc_normal": Initializer(
        "Drawn from a normal distribution, between `a` and `b`, a below b.",
        {"mean": number(), "std": number(above=0), "a": number(), "b": number()},
        bounds=(-2, 2),
    ),
    "uniform": Initializer(
        "Drawn evenly between `a` and `b`, a below b.", {"a": number(), "b": number()}, bounds=(0, 1)
    ),
    "xavier_uniform": Initializer("Drawn evenly; the variance by inputs and outputs (Glorot).", _GAIN, 2),
    "xavier_normal": Initializer("Drawn normally; the variance by inputs and outputs (Glorot).", _GAIN, 2),
    "kaiming_uniform": Initializer("Drawn evenly; the variance by inputs or outputs (He).", _KAIMING, 2),
    "kaiming_normal": Initializer("Drawn normally; the variance by inputs or outputs (He).", _KAIMING, 2),
    "orthogonal": Initializer("A random orthogonal matrix, times `gain`.", {"gain": number()}, 2),
}
"""The functions, less their final underscore."""

Init = tuple[str, tuple[tuple[str, Any], ...]]
"""A function of `torch.nn.init`, less its final underscore, and its arguments."""


def init_schema(primitives: dict[str, Primitive], roles: Iterable[str]) -> Schema:
    """The JSON Schema of a spec's `init` section."""
    named: Schema = {
        "type": "object",
        "properties": {
            name: {
                "type": "object",
                "properties": one.arguments,
                "required": list(one.required),
                "additionalProperties": False,
            }
            for name, one in INITIALIZERS.items()
        },
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    bare = choice(*(name for name, one in INITIALIZERS.items() if not one.required))
    value = either(number(), bare, named)
    return {
        "type": "object",
        "properties": {
            name: {
                "type": "object",
                "properties": dict.fromkeys(primitive.weights, value),
                "additionalProperties": False,
            }
            for name, primitive in primitives.items()
            if primitive.weights
        }
        | {name: {"type": "object", "additionalProperties": value} for name in roles},
        "additionalProperties": False,
    }


def resolve(value: Any) -> Init:
    """The written form of an initialiser (a number, a name, or `{name: arguments}`) as function and arguments.

    Raises `Fault` where bounds are in the wrong order.
    """
    if isinstance(value, str):
        return value, ()
    if isinstance(value, dict):
        (name, arguments), *_ = value.items()
        bounds = INITIALIZERS[name].bounds
        if bounds:
            low, high = arguments.get("a", bounds[0]), arguments.get("b", bounds[1])
            if low >= high:
                raise Fault("out-of-range", f"`{name}` needs `a` below `b`, but they are {low} and {high}")
        return name, tuple(arguments.items())
    return "constant", (("val", value),)


def check(init: Init, parameter: str, shape: Shape, mark: Mark) -> None:
    """Raises `Fault` where an initialiser, written at `mark`, does not work on a parameter of this shape."""
    name, least = init[0], INITIALIZERS[init[0]].least_axes
    if len(shape) < least:
        raise Fault(
            "init-shape",
            f"`{name}` needs a parameter of at least {least} axes, but {parameter} has the shape {show(shape)}",
            mark,
            help="give it a number, `zeros`, `ones`, `normal` or `uniform`",
        )
