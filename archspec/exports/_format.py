"""The contract of a format: what is exported, how it is asked for, and what is known of the file that was made.

Formats are known without torch: a format's file imports torch inside its methods.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archspec.foundation.shapes import Shape
from archspec.plan.plan import Plan
from archspec.spec import Spec

if TYPE_CHECKING:
    from torch import nn

    from archspec.exports._proof import Proof


@dataclass(frozen=True)
class Images:
    """What is known of the images that a network takes, or of its rows or sequences, beside their shape."""

    mean: tuple[float, ...] | None = None
    """The mean of each channel that it is normalised by, `None` where it is not known.

    Of images it is that of values from 0 to 1; of rows and sequences, of each feature in its own unit. Of several
    inputs it is that of the features, or of an image's channels, of the first, then of the next.
    """
    std: tuple[float, ...] | None = None
    """The standard deviation of each channel."""
    classes: tuple[str, ...] | None = None
    """The names of the classes, in the order of the outputs."""
    resize: Mapping[str, Any] | None = None
    """How images are brought to the network's size, as `Resize.to_dict` has it."""
    axis: int = 0
    """The axis of a sample that mean and standard deviation run along; tokens have their features on the last one."""
    features: tuple[str, ...] | None = None
    """The names of a row's features, in the order of the input."""


@dataclass(frozen=True)
class Model:
    """What is exported: a spec without its auxiliary classifiers, its weights, and what is known of its images."""

    spec: Spec
    weights: str
    """Whose weights it has, in words."""
    images: Images
    make: Callable[[], nn.Module]
    """Builds the network with its weights, in evaluation mode. It imports torch, and may take seconds."""
    answer: nn.Module | None = None
    """What follows the main output of a trained network: a regression's brings it to the targets' units."""
    answers: Mapping[str, nn.Module] = field(default_factory=dict)
    """What follows named outputs, by their names."""
    name: str = ""
    """What its files are called where no name is given: the run's, or the spec's."""

    @property
    def plan(self) -> Plan:
        return self.spec.plan

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of one sample of each input, in their order."""
        return tuple(one.shape for one in self.plan.takes)

    @property
    def takes_images(self) -> bool:
        """Whether it takes images (channels, height, width), alone or beside rows."""
        return any(len(shape) == 3 for shape in self.shapes)


@dataclass(frozen=True)
class Options:
    """How a format is asked for."""

    dynamic: str | None = None
    """What the file leaves open: `size` (with the batch), `batch` or `none`; `None`: as much as the network allows."""
    normalize: bool = False
    """Whether the normalisation is part of it: it takes images as uint8 from 0 to 255, and rows in their own units."""
    say: Callable[[str], None] = lambda step: None
    """Takes what is being done, in a few words, for people who wait."""


@dataclass(frozen=True)
class Written:
    """What is known of a file that was written."""

    proof: Proof | None = None
    """How it was proven to compute the same; `None` where the format proves nothing."""
    lines: tuple[str, ...] = ()
    """What else to say of it, a line each."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The same for programs (JSON types)."""


class Format(ABC):
    """A format."""

    name: str
    """The name of its file, without its suffix."""
    doc: str
    """A line about it, for `--help`."""
    suffix: str
    """How its files end: `.onnx`."""
    is_text: bool = False
    """Whether it may be written to a terminal or a pipe (`-o -`)."""
    holds_weights: bool = True
    """Whether its files hold weights; if not, it is made of the plan, without torch."""
    keeps_aux: bool = False
    """Whether auxiliary classifiers are part of its files, for training to go on with."""
    takes_options: bool = False
    """Whether `--dynamic` and `--normalize` mean anything to it."""

    def check(self) -> None:  # noqa: B027 - it may need nothing
        """Raises `UsageError` where something that it needs is not installed. It is called before any work is done."""

    @abstractmethod
    def write(self, model: Model, path: str, options: Options) -> Written:
        """Write a file that does not exist yet, beside its final place and with its ending.

        The caller gives it its name once this returns, and removes it where an error is raised. Raises `UsageError`.
        """
