"""Recurrent layers over the tokens of a sequence."""

from __future__ import annotations

from typing import ClassVar

from archspec.foundation.arguments import Argument, boolean, integer
from archspec.foundation.shapes import Shape
from archspec.layers.calls import Call, call
from archspec.layers.kept import Kept
from archspec.layers.primitive import Arguments, Called

_WEIGHTS = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class _Recurrent(Called):
    gates: ClassVar[int]
    """How many vectors a token and its predecessor's state are each projected to."""
    rule = "T×F → T×hidden, or T×2·hidden of two directions"
    arguments = (
        Argument("hidden", integer(1), doc="features of the state"),
        Argument("bidirectional", boolean(), False, "read from both ends, each direction with weights of its own"),
    )
    weights = tuple(f"rnn.{name}{end}" for end in ("", "_reverse") for name in _WEIGHTS)
    example_input = (16, 8)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if len(shape) != 2:
            help = "put `- tokens` before it" if len(shape) == 3 else None
            raise self.refuse(shape, "tokens (tokens×features)", help)
        return shape[0], self._directions(arguments) * arguments["hidden"]

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        rows = self.gates * arguments["hidden"]
        shapes = ((rows, shape[1]), (rows, arguments["hidden"]), (rows,), (rows,))
        return dict(zip(self.weights, self._directions(arguments) * shapes, strict=False))

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        tokens, width = shape
        hidden: int = arguments["hidden"]
        return self._directions(arguments) * tokens * self.gates * hidden * (width + hidden)

    def call(self, arguments: Arguments, shape: Shape) -> Call:
        more = {"bidirectional": True} if arguments["bidirectional"] else {}
        return call(self.name.capitalize(), shape[1], arguments["hidden"], **more)

    def _directions(self, arguments: Arguments) -> int:
        return 2 if arguments["bidirectional"] else 1


class Lstm(_Recurrent):
    name, gates = "lstm", 4
    doc = "A long short-term memory: each token's state is made of it, the state before it and a memory of all before."
    source = "https://doi.org/10.1162/neco.1997.9.8.1735"
    examples = ("lstm: 12", "lstm: {hidden: 6, bidirectional: true}")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> None:
        """oneDNN, which does its work on CPUs, keeps a memory whose layout is its own."""


class Gru(_Recurrent):
    name, gates = "gru", 3
    doc = "Gated recurrent units: each token's state is made of it and the state before it."
    source = "https://arxiv.org/abs/1406.1078"
    examples = ("gru: 12", "gru: {hidden: 6, bidirectional: true}")

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept:
        tokens, width = shape
        steps = self._directions(arguments) * tokens * 7 * arguments["hidden"]
        if tokens == 1:
            return Kept(input=True, values=steps)
        return Kept(values=steps + self._directions(arguments) * tokens * width)  # token by token, as it reads them
