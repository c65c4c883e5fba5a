"""What installed packages add to recipes: losses and augmentations, each the object of a module that they name.

A package's entry point of the group `archspec.losses` names a module that defines `LOSS`, an `AddedLoss`; one of
`archspec.augmentations` a module that defines `AUGMENTATION`, an `AddedAugmentation`. The entry point's name is theirs
in recipes. They are known without torch: their modules import it inside their methods.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from archspec.foundation.arguments import Argument, Signature
from archspec.foundation.errors import UsageError
from archspec.foundation.extensions import extensions, load_extension
from archspec.recipe import augmentations
from archspec.recipe.choices import LOSSES, LossOption
from archspec.recipe.forms import add_loss

if TYPE_CHECKING:
    from torch import Tensor, nn

LOSS_GROUP = "archspec.losses"
AUGMENTATION_GROUP = "archspec.augmentations"


class AddedLoss(ABC):
    """A loss of a package."""

    doc: str
    """A line about it."""
    tasks: tuple[str, ...]
    """The names of the tasks that may be trained by it."""
    arguments: tuple[Argument, ...] = ()
    """Its arguments, each an `archspec.arguments.Argument`."""
    source: str = ""

    @abstractmethod
    def module(self, arguments: Mapping[str, Any]) -> nn.Module:
        """The loss with all its arguments: a module of a network's output and the targets, as its tasks have them.

        It gives one number, a mean over the images of the batch.
        """


class AddedAugmentation(ABC):
    """An augmentation of a package."""

    doc: str
    """A line about it."""
    arguments: tuple[Argument, ...] = ()
    """Its arguments, each an `archspec.arguments.Argument` with a default."""
    source: str = ""
    moves: ClassVar[bool] = False
    """Whether it moves what is in an image: then it is called again for masks and target images."""

    @abstractmethod
    def change(self, images: Tensor, random: Any, arguments: Mapping[str, Any], *, is_mask: bool = False) -> Tensor:
        """Images uint8 `(N, C, H, W)`, changed into others of the same shape.

        `random` draws numbers for each image, on its device: `uniform(low, high)`, `bernoulli(p)` and
        `integers(bound)`, `(N,)`. Where it `moves`, it is called for the masks or target images too, with the same
        numbers; of masks, the values are inverted numbers of classes, which must not be blended.
        """


_loaded = False


def load_added() -> bool:
    """Register the losses and augmentations of installed packages; whether there are some that were not known.

    Raises `UsageError` where a package's module cannot be imported, or has not what its entry point promises.
    """
    global _loaded
    if _loaded:
        return False
    losses = {name: _load(point, "LOSS", AddedLoss, LOSSES) for name, point in extensions(LOSS_GROUP).items()}
    changes = {
        name: _load(point, "AUGMENTATION", AddedAugmentation, augmentations.AUGMENTATIONS)
        for name, point in extensions(AUGMENTATION_GROUP).items()
    }
    for name, loss in losses.items():
        arguments = {one.name: one.schema for one in loss.arguments}
        required = tuple(one.name for one in loss.arguments if one.required)
        add_loss(name, LossOption(loss.doc, arguments, required, source=loss.source, added=loss))
    for name, one in changes.items():
        signature = Signature(name, tuple(one.arguments))
        augmentations.add(name, augmentations.Augmentation(one.doc, signature, one.source, added=one))
    _loaded = True
    return bool(losses or changes)


def _load(point: Any, attribute: str, kind: type[Any], known: Mapping[str, Any]) -> Any:
    """What an entry point promises. Raises `UsageError`."""
    found = load_extension(point, attribute)
    what = f"`{point.value}` of {point.dist.name if point.dist else 'a package'}"
    if not isinstance(found, kind):
        raise UsageError(f"the `{attribute}` of {what} is no `archspec.recipe.added.{kind.__name__}`")
    if point.name in known:
        raise UsageError(
            f"{what} adds `{point.name}`, which archspec has itself", help="give its entry point another name"
        )
    if not re.fullmatch("[a-z][a-z0-9_]*", point.name) or not isinstance(getattr(found, "doc", None), str):
        raise UsageError(
            f"{what} adds `{point.name}`, which has no `doc`, or no name of small letters, digits and `_`",
            help="correct the package, or uninstall it",
        )
    if kind is AddedAugmentation and any(one.required for one in found.arguments):
        raise UsageError(f"{what} adds `{point.name}`, an argument of which has no default", help="give it one")
    return found
