"""The recipe: how a spec says that it is trained. Its form, checked without torch; `trainer` carries it out.

The fields of these dataclasses say of each key its type, its default, the values that fit and a line about it; the
JSON Schema and the mapping of defaults are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from archspec.foundation.arguments import boolean, choice, either, integer, number
from archspec.recipe import augmentations
from archspec.recipe.augmentations import AppliedAugmentation
from archspec.recipe.choices import OPTIONS
from archspec.recipe.columns import DATA, Columns
from archspec.recipe.forms import DEFAULT_LOSS, LOSS, NORMALIZE, WARMUP, or_none
from archspec.recipe.options import choose
from archspec.recipe.outputs import OUTPUTS, Outputs
from archspec.recipe.parts import FREEZE, LR_SCALE, Freeze, LrScale
from archspec.recipe.sections import (
    MONITOR,
    Choice,
    Clip,
    EarlyStopping,
    Ema,
    Key,
    Loss,
    Moments,
    Optimizer,
    Resize,
    Schedule,
    Section,
    Warmup,
    section_schema,
)

_LOSS = Loss(DEFAULT_LOSS)
_RESIZE = Resize("stretch")
_NO_COLUMNS = Columns()
_OPTIMIZER = Optimizer("adamw", {"lr": 1e-3, "weight_decay": 1e-4})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: every key, those that are not written by their defaults.

    Of `epochs` and `steps` one is `None`: `epochs` where `steps` is given.
    """

    task: Annotated[
        str | None,
        Key(
            "what is learned; if not given, what the data set has targets for",
            either({"type": "string"}, {"type": "null"}),
        ),
    ] = None
    data: Annotated[
        str,
        Key(
            "a data set by its name, or the path of a folder of images, a table or arrays; of a table also the columns "
            "that are the `target`, that it does without (`ignore`), that become a feature for each of their values "
            "(`one_hot`), or that each of several `inputs` takes",
            DATA,
        ),
    ] = "digits"
    epochs: Annotated[int | None, Key("passes over the training images", integer(1))] = 10
    steps: Annotated[int | None, Key("the number of the optimizer's steps, in place of `epochs`", integer(1))] = None
    batch_size: Annotated[int, Key("images per batch", integer(1))] = 64
    accumulate: Annotated[int, Key("batches whose gradients are accumulated for one step", integer(1))] = 1
    sampler: Annotated[
        Literal["balanced"] | None,
        Key(
            "`balanced`: each epoch draws images of every class equally often; null, each image once",
            either(choice("balanced"), {"type": "null"}),
        ),
    ] = None
    seed: Annotated[
        int, Key("the seed of every random choice: initial weights, order, augmentation, dropout", integer(0))
    ] = 42
    validation: Annotated[
        int | float,
        Key(
            "how much of the training set is kept for validation: a share between 0 and 1, or a number of images, 0 "
            "for none",
            either(integer(0), number(above=0, below=1)),
        ),
    ] = 0.1
    monitor: Annotated[
        str | None,
        Key("what chooses the best weights: `val_loss`, or a metric of the task, its first one if not given", MONITOR),
    ] = None
    weights: Annotated[
        str | None,
        Key(
            "the weights to start from: a file, a run's folder, or `torchvision:NAME`; initial ones if not given",
            either({"type": "string", "pattern": "."}, {"type": "null"}),
        ),
    ] = None
    partial: Annotated[bool, Key("whether weights that do not fit are left out, and said")] = False
    adapt: Annotated[bool, Key("whether a file's weights are converted to another size or number of channels")] = False
    freeze: Annotated[
        Freeze | None,
        Key(
            "the parts that keep their weights and statistics, by their paths: a list, or `{path: epochs}` for those "
            "that are trained after so many epochs",
            FREEZE,
        ),
    ] = None
    lr_scale: Annotated[
        LrScale | None,
        Key(
            "by what the learning rate of parts is multiplied, by their paths; with `{decay: N}`, that of each part "
            "below a path is N times that of the next",
            LR_SCALE,
        ),
    ] = None
    resize: Annotated[
        Resize, Key("how images are brought to the input's size", choose(_RESIZE.name, OPTIONS["resize"]))
    ] = _RESIZE
    normalize: Annotated[
        bool | Literal["data", "weights", "imagenet"] | Moments,
        Key(
            "the mean and standard deviation that each channel is standardised by: `data`, the training images'; "
            "`weights`, what the weights were trained with; true, the latter where it is known, else the former; "
            "`imagenet`, or `{mean: […], std: […]}`; false for none",
            NORMALIZE,
        ),
    ] = True
    augment: Annotated[
        tuple[AppliedAugmentation, ...],
        Key(
            "a list of augmentations, each `{name: {arguments}}` or a name alone",
            {"type": "array", "items": augmentations.SCHEMA},
        ),
    ] = ()
    loss: Annotated[
        Loss,
        Key("a loss, with its arguments, or a list of several, each with a `factor`, which are added up", LOSS),
    ] = _LOSS
    outputs: Annotated[
        Outputs | None,
        Key(
            "outputs, by their names, that learn the same targets as the network's last one, `main`, each with the "
            "weight of its loss; or of a table, each with a `target` of its own",
            OUTPUTS,
        ),
    ] = None
    optimizer: Annotated[
        Optimizer, Key("an optimizer, with its arguments", choose(_OPTIMIZER.name, OPTIONS["optimizer"]))
    ] = _OPTIMIZER
    decay: Annotated[
        Literal["all", "weights"],
        Key(
            "what the optimizer's weight decay acts on: all parameters, or weights, which leaves out those of norms, "
            "biases, and the scales and slopes that other layers give each channel"
        ),
    ] = "all"
    clip: Annotated[
        Clip | None,
        Key(
            "`{norm: N}`: all gradients are scaled down to a norm of N; `{value: N}`: each is held between −N and N",
            or_none("`{norm: N}` or `{value: N}`", section_schema(Clip) | {"minProperties": 1, "maxProperties": 1}),
        ),
    ] = None
    schedule: Annotated[
        Schedule | None,
        Key(
            "a schedule of the learning rate, with its arguments; null for a constant rate",
            choose(None, OPTIONS["schedule"], null=True),
        ),
    ] = None
    warmup: Annotated[
        Warmup | None,
        Key(
            "`{epochs: N}` or `{steps: N}`, over which the rate rises evenly from a share of it, `start`",
            or_none("`{epochs: N}` or `{steps: N}`", WARMUP),
        ),
    ] = None
    ema: Annotated[
        Ema | None,
        Key(
            "`{decay: N}`: an exponential moving average of the weights, which keeps a share `decay` of itself each "
            "`every` steps",
            or_none("`{decay: N}`", section_schema(Ema)),
        ),
    ] = None
    early_stopping: Annotated[
        EarlyStopping | None,
        Key(
            "`{patience: N}`: training ends after `patience` epochs without improvement by more than `min_delta` of "
            "what `monitor` names",
            or_none("`{patience: N}`", section_schema(EarlyStopping)),
        ),
    ] = None
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"],
        Key("`32-true`, or for faster training with less memory `bf16-mixed`, or `16-mixed`, which needs a GPU"),
    ] = "32-true"
    compile: Annotated[bool, Key("whether `torch.compile` makes the network faster")] = False
    channels_last: Annotated[
        bool | Literal["auto"],
        Key(
            "whether images and weights lie in memory with their channels last; `auto`: where that is faster",
            either(choice("auto"), boolean()),
        ),
    ] = "auto"
    exact: Annotated[
        bool, Key("whether results on a CPU are bitwise those of a plain torch loop: `auto` changes no rounding")
    ] = False
    columns: Columns = _NO_COLUMNS
    """What `data` says of the columns of a table, beside the name."""

    def __post_init__(self) -> None:
        if self.steps is not None:
            object.__setattr__(self, "epochs", None)

    @classmethod
    def from_dict(cls, written: Mapping[str, Any]) -> Recipe:
        """Of a `train` section that fits `SCHEMA`, as it is written: complete or not, names alone or with arguments."""
        made = dict(written)
        for key, default in _CHOICES.items():
            value = {"name": made[key]} if isinstance(made.get(key), str) else made.get(key)
            if isinstance(value, Mapping):
                made[key] = value if default is None or "name" in value else {**default.to_dict(), **value}
        for key, form in _FORMS.items():
            if made.get(key) is not None:
                made[key] = form.from_dict(made[key])
        if isinstance(made.get("normalize"), Mapping):
            made["normalize"] = Moments.from_dict(made["normalize"])
        if isinstance(made.get("data"), Mapping):
            made |= {"columns": Columns.from_dict(made["data"]), "data": made["data"].get("name", cls.data)}
        made["augment"] = tuple(map(AppliedAugmentation.from_data, made.get("augment", ())))
        return cls(**made)

    def to_dict(self) -> dict[str, Any]:
        """The mapping that runs are found by, of which `from_dict` makes the same recipe: `complete`, less the keys
        that came after runs were kept, where they have their default."""
        made = self.complete()
        for key in _LATER:
            if getattr(self, key) == getattr(type(self), key):
                del made[key]
        return made

    def complete(self) -> dict[str, Any]:
        """A mapping of every key, `epochs` or `steps`, of which `from_dict` makes the same recipe."""
        made = {one.name: getattr(self, one.name) for one in fields(self)}
        for key in _FORMS:
            made[key] = made[key] and made[key].to_dict()
        made["augment"] = [one.to_dict() for one in self.augment]
        if isinstance(self.normalize, Moments):
            made["normalize"] = self.normalize.to_dict()
        if columns := made.pop("columns").to_dict():
            made["data"] = {"name": self.data, **columns}
        steps = made.pop("steps")
        if steps is not None:
            del made["epochs"]
            made["steps"] = steps
        return made


_LATER = (
    *("task", "sampler", "monitor", "weights", "partial", "adapt", "freeze", "lr_scale", "resize", "outputs"),
    "exact",
)
"""Keys that came after runs were kept, which know themselves by their recipe: not written where they have their
default."""

_CHOICES: dict[str, Section | Choice | None] = {
    "loss": _LOSS,
    "optimizer": _OPTIMIZER,
    "schedule": None,
    "resize": _RESIZE,
}
"""What is meant where no name is written."""

_FORMS: dict[str, type[Section | Choice | Freeze | LrScale | Outputs]] = {
    "loss": Loss,
    "optimizer": Optimizer,
    "clip": Clip,
    "schedule": Schedule,
    "warmup": Warmup,
    "ema": Ema,
    "early_stopping": EarlyStopping,
    "freeze": Freeze,
    "lr_scale": LrScale,
    "resize": Resize,
    "outputs": Outputs,
}

DEFAULTS = Recipe().complete()
"""What a recipe that does not say otherwise does."""
