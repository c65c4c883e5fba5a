"""The contract of a primitive: a leaf of the language, written in Python, that everything is known of without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.foundation.arguments import Argument, Signature
from archspec.foundation.errors import Fault
from archspec.foundation.shapes import Shape, show
from archspec.layers.calls import Call
from archspec.layers.kept import Kept
from archspec.layers.reach import LOCAL, WHOLE, Reach

if TYPE_CHECKING:
    from torch import nn

Arguments = Mapping[str, Any]
"""The complete values of a layer's arguments, defaults included, already checked against their types."""


class Primitive(ABC):
    """The base of all primitives: one kind of layer, whose shapes and figures are known without torch.

    A subclass gives `name`, `doc` and `module`, and `output`, `parameters` and `macs` where the defaults below do not
    hold. One in a file of `archspec/layers/primitives/` is registered by being there, others by `--plugin` or
    `archspec.plugins.load_plugin`. Shapes are those of one sample, without the batch axis; the module works on batches.

    Example:
        ```python
        class Gain(Primitive):
            name = "gain"
            doc = "Each channel times a learned number."

            def parameters(self, arguments, shape):
                return {"weight": (shape[0], 1, 1)}

            def output(self, arguments, shape):
                return shape

            def module(self, arguments, shape):
                import torch
                from torch import nn

                class Gain(nn.Module):
                    def __init__(self):
                        super().__init__()
                        self.weight = nn.Parameter(torch.ones(shape[0], 1, 1))

                    def forward(self, x):
                        return x * self.weight

                return traced(Gain())
        ```
    """

    name: ClassVar[str]
    """Its name in specs."""
    doc: ClassVar[str]
    """What it does, in a line."""
    source: ClassVar[str] = ""
    """The paper or reference implementation."""
    rule: ClassVar[str] = ""
    """Its shape rule, for people: `C×H×W → out×H′×W′`; one that begins with `unchanged` is of a layer that keeps the
    shape of each input that it takes. Of sequences, `C×L` has channels first, `T×F` are tokens of features."""
    arguments: ClassVar[tuple[Argument, ...]] = ()
    """Its arguments; the first may be given alone."""
    pointwise: ClassVar[bool] = False
    """Whether each position of its output depends on the same position of its input alone, in evaluation."""
    training_only: ClassVar[bool] = False
    """Whether it passes its input on unchanged but in training."""
    reads_values: ClassVar[bool] = True
    """Whether its output depends on the values of its input. Where it does not, no gradient passes."""
    weights: ClassVar[tuple[str, ...]] = ()
    """The names of all parameters that it can have, as `init` and `state_dict` know them."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Nodes that use it, in the language; the first is the one to show. Each is tried on `example_input`."""
    example_input: ClassVar[Shape] = (8, 16, 16)
    """The shape of an input that the examples take."""
    joined: ClassVar[str] = ""
    """The argument that says how many branches of a `concat` it takes, one after the other, if it takes such."""
    channels_last: ClassVar[bool] = False
    """Whether the feature map that it gives lies in memory with its channels last, however its input lies."""
    widens: ClassVar[bool] = False
    """Whether it gives 32 bits a value in mixed precision on a CPU, where others give as many as they take."""
    fixed_size: ClassVar[bool] = False
    """Whether its module is made for one size of input, so that where it is shared all inputs need the same shape.

    Where it is false, a module that is made for one shape computes the same as one that is made for another, as long as
    there are parameters, or can be none, and these and, but for token sequences, the channels are equal. A plugin's
    class that does not say so is taken to be of a fixed size.
    """

    @cached_property
    def signature(self) -> Signature:
        """The arguments together, by which values are checked."""
        return Signature(self.name, self.arguments)

    @property
    def keeps_shape(self) -> bool:
        """Whether its output has the shape of its input, whatever its arguments are."""
        return self.rule.startswith("unchanged")

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        """The shape of the output; the input's own where a subclass does not say otherwise.

        A plugin's class that leaves this out is measured: its module is run on torch's `meta` device.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape, `(channels, height, width)` for example.

        Raises:
            Fault: The layer cannot take this input; `raise self.refuse(shape, "what it needs")`.
        """
        return shape

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        """The shapes of the trainable parameters, by their names in the module's `state_dict`.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
        """
        return {}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        """The multiply-accumulate operations (MACs) for one sample.

        Convolutions and matrix products count; biases, normalisations and activations do not.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
            output: The output's shape.
        """
        return 0

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        """The bytes of the tensors that its module holds beside its parameters (buffers).

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
        """
        return 0

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept | None:
        """What its module keeps in training for its backward pass; `None`, where it does not say.

        Then its input and output are counted, and a summary says so.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
            output: The output's shape.
        """
        return None

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        """Which positions of the input each position of the output depends on: all, where it does not say otherwise.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
            output: The output's shape.
        """
        return LOCAL if self.pointwise else WHOLE

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        """What `check` says of a layer that is sound but hardly meant, such as a softmax over a single value.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
        """
        return None

    @abstractmethod
    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        """The layer as an ordinary torch module with torch's own initial values. The method imports torch itself.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape. The module takes batches `(N, *shape)`.
        """

    def call(self, arguments: Arguments, shape: Shape) -> Call | None:
        """The call that makes its module, for an export to Python; `None`, where it does not say.

        Args:
            arguments: The complete values of the arguments.
            shape: The input's shape.
        """
        return None

    def refuse(self, shape: Shape, needed: str, help: str | None = None) -> Fault:
        """The fault of an input that the layer cannot take, to be raised by `output`.

        Args:
            shape: The input's shape.
            needed: What the layer needs, as in `"a feature map"`.
            help: What to do about it.
        """
        return Fault("input-shape", f"`{self.name}` needs {needed}, but its input is {show(shape)}", help=help)

    def feature_map(self, shape: Shape) -> tuple[int, int, int]:
        """The input's channels, height and width.

        Args:
            shape: The input's shape.

        Raises:
            Fault: The input is no feature map, that is, its shape has not three numbers.
        """
        if len(shape) != 3:
            raise self.refuse(shape, "a feature map (channels×height×width)")
        return shape[0], shape[1], shape[2]


class Called(Primitive):
    """A primitive whose module is one call of a class, by which it is made and exported."""

    @abstractmethod
    def call(self, arguments: Arguments, shape: Shape) -> Call: ...

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        return self.call(arguments, shape).make()
