"""The contract of a primitive: a leaf of the language, written in Python, that everything is known of without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.foundation.arguments import Argument, Signature
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show

if TYPE_CHECKING:
    from torch import nn

Arguments = Mapping[str, Any]
"""The complete values of a layer's arguments, defaults included, already held to their types."""


class Primitive(ABC):
    """One kind of layer.

    A subclass in a file of `archspec/layers/primitives/` is registered by being there, others by `--plugin`. Shapes are
    those of one sample, without the batch axis; the module works on batches of them.
    """

    name: ClassVar[str]
    """Its name in specs."""
    doc: ClassVar[str]
    """What it does, in a line."""
    source: ClassVar[str] = ""
    """The paper or reference implementation."""
    rule: ClassVar[str] = ""
    """Its shape rule, for people: `C×H×W → out×H′×W′`."""
    arguments: ClassVar[tuple[Argument, ...]] = ()
    weights: ClassVar[tuple[str, ...]] = ()
    """The names of all parameters that it can have, as `init` and `state_dict` know them."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Nodes that use it, in the language; the first is the one to show. Each is tried on `example_input`."""
    example_input: ClassVar[Shape] = (8, 16, 16)

    @cached_property
    def signature(self) -> Signature:
        return Signature(self.name, self.arguments)

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        """The shape of the output. Raises `Fault` (input-shape) where the layer cannot take its input."""
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        """The shapes of the trainable parameters, by their `state_dict` names."""
        return {}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        """Multiply-accumulate operations for one sample, of convolutions and matrix products: no bias, no norm."""
        return 0

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        """Bytes that its module holds beside its parameters, where these can be many."""
        return 0

    @abstractmethod
    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        """The layer as an ordinary torch module, made with torch's own initial values. Imports torch itself."""

    def refuse(self, shape: Shape, needed: str, help: str | None = None) -> Fault:
        """The fault of an input that the layer cannot take."""
        return Fault("input-shape", f"`{self.name}` needs {needed}, but its input is {show(shape)}", help=help)

    def feature_map(self, shape: Shape) -> tuple[int, int, int]:
        """The input as channels, height, width. Raises `Fault` where it is no feature map."""
        if len(shape) != 3:
            raise self.refuse(shape, "a feature map (channels×height×width)")
        return shape[0], shape[1], shape[2]


def traced(module: nn.Module) -> nn.Module:
    """A module that torch has no class for, as a graph of torch's own operations, which archspec has no part in.

    Its parameters, buffers and submodules keep their names; its `forward` is written down once, by torch.fx.
    """
    from torch import fx

    return fx.GraphModule(module, fx.Tracer().trace(module), class_name=type(module).__name__)
