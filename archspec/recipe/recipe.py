"""The recipe: how a spec says that it is trained. Its form, checked without torch; `trainer` carries it out.

The fields of these dataclasses say of each key its type, its default, the values that fit and a line about it; the
JSON Schema and the mapping of defaults are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

from archspec.foundation.arguments import REQUIRED, Argument, Schema, boolean, choice, either, integer, number
from archspec.recipe import augmentations
from archspec.recipe.augmentations import AppliedAugmentation
from archspec.recipe.columns import DATA, Columns
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.recipe.options import Option, add_option, choose, refuse, section
from archspec.recipe.outputs import OUTPUTS, Outputs
from archspec.recipe.parts import FREEZE, LR_SCALE, Freeze, LrScale

_CLASS_WEIGHTS: Schema = {
    "title": "`balanced`, or `{class: weight}`, weights above 0",
    "anyOf": [
        choice("balanced"),
        {"type": "object", "minProperties": 1, "additionalProperties": number(above=0)},
    ],
}

LOSSES: dict[str, Option] = {
    "cross_entropy": Option(
        "The negative log-likelihood of the right class under softmax.",
        {"label_smoothing": number(0, 1), "weight": _CLASS_WEIGHTS},
    ),
    "binary_cross_entropy": Option(
        "Binary cross-entropy for each class, averaged over images and classes.",
        {"label_smoothing": number(0, 1)},
        source="https://arxiv.org/abs/2110.00476",
    ),
    "charbonnier": Option(
        "`sqrt(d² + eps²) - eps` of differences d from numbers: as `mean_absolute_error`, but smooth at 0.",
        {"eps": number(above=0)},
        source="https://doi.org/10.1109/ICIP.1994.413553",
    ),
    "dice": Option(
        "Of masks: one less the overlap of prediction and truth, a mean over images and classes.",
        {"smooth": number(above=0)},
        source="https://arxiv.org/abs/1606.04797",
    ),
    "focal": Option(
        "Cross-entropy times `(1 - p)^gamma`, which weighs what is already right less.",
        {"gamma": number(0), "weight": _CLASS_WEIGHTS},
        source="https://arxiv.org/abs/1708.02002",
    ),
    "mean_squared_error": Option("The mean of the squared differences from numbers, in their standard deviations."),
    "mean_absolute_error": Option("The mean of the absolute differences from numbers, in their standard deviations."),
    "smooth_l1": Option(
        "As `mean_squared_error` below a difference of `beta` standard deviations, as `mean_absolute_error` above.",
        {"beta": number(above=0)},
        source="https://arxiv.org/abs/1504.08083",
    ),
    "tversky": Option(
        "As `dice`, with `alpha` times what is wrongly found and `beta` times what is missed.",
        {"alpha": number(0), "beta": number(0), "smooth": number(above=0)},
        source="https://arxiv.org/abs/1706.05721",
    ),
}
"""Each is a mean over images; `trainer.tasks` says which of them a task takes."""

_FACTOR = {"factor": number(above=0)}

_INTERPOLATION = choice("bilinear", "bicubic")

RESIZES: Mapping[str, Option] = {
    "stretch": Option(
        "Each image is brought to the input's height and width, whatever its own ratio is.",
        {"interpolation": _INTERPOLATION},
    ),
    "crop": Option(
        "The shorter side is brought to `size` pixels, 8/7 of the input's if not given, and the centre is cut out.",
        {"size": integer(1), "interpolation": _INTERPOLATION},
    ),
    "pad": Option(
        "The image is brought into the input whole, and centred; what it leaves is filled with the grey level `fill`, "
        "black if not given.",
        {"fill": integer(0, 255), "interpolation": _INTERPOLATION},
    ),
    "weights": Option("As `weights` were trained or published with."),
}

_GAMMA = number(above=0)

SCHEDULES: Mapping[str, Option] = {
    "multi_step": Option(
        "The rate is multiplied by `gamma` after each of the `milestones`, a list of epochs.",
        {"milestones": {"type": "array", "items": integer(1), "minItems": 1}, "gamma": _GAMMA},
        ("milestones",),
    ),
    "step": Option(
        "The rate is multiplied by `gamma` every `step_size` epochs.",
        {"step_size": integer(1), "gamma": _GAMMA},
        ("step_size",),
    ),
    "exponential": Option("The rate is multiplied by `gamma` after each epoch.", {"gamma": _GAMMA}, ("gamma",)),
    "cosine": Option(
        "The rate falls to `eta_min` along half a cosine, step by step.",
        {"eta_min": number(0)},
        source="https://arxiv.org/abs/1608.03983",
    ),
    "one_cycle": Option(
        "The rate rises from `lr / div_factor` to `lr` in the share `pct_start` of the steps, then falls to "
        "`1 / final_div_factor` of where it began.",
        {
            "pct_start": number(0, 1),
            "anneal_strategy": choice("cos", "linear"),
            "cycle_momentum": boolean(),
            "base_momentum": number(0, below=1),
            "max_momentum": number(0, below=1),
            "div_factor": number(above=0),
            "final_div_factor": number(above=0),
        },
        source="https://arxiv.org/abs/1708.07120",
    ),
}

OPTIONS: dict[str, dict[str, Schema]] = {
    key: {name: one.schema for name, one in options.items()}
    for key, options in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("loss", LOSSES), ("resize", RESIZES))
}
"""What `name` chooses among in the sections that choose: the arguments of each."""

EXCLUSIVE = {
    ("train",): ("epochs", "steps"),
    ("train", "warmup"): ("epochs", "steps"),
    ("train", "clip"): ("norm", "value"),
}
"""Keys of which one stands at most: where recipes are laid over one another, the one that is written last."""


# --- keys as fields ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Key:
    """What annotates a field: a line about the key, and the values that fit where the type does not say it."""

    doc: str
    schema: Schema | None = None


def keys(form: type[Any]) -> dict[str, Argument]:
    """The keys of a recipe or of a section of it, in order: the type, default and meaning of each."""
    hints = get_type_hints(form, include_extras=True)
    found = {}
    for one in fields(form):
        if get_origin(hints[one.name]) is Annotated:
            kind, key = get_args(hints[one.name])
            found[one.name] = Argument(one.name, key.schema or _schema_of(kind), _default(one), key.doc)
    return found


def _schema_of(kind: Any) -> Schema:
    if get_origin(kind) is Literal:
        return choice(*get_args(kind))
    return {bool: boolean(), str: {"type": "string"}}[kind]


def _default(one: Field[Any]) -> Any:
    """A field's default as it is written in a recipe."""
    if isinstance(one.default, (_Section, _Choice)):
        return one.default.to_dict()
    return REQUIRED if one.default is MISSING else list(one.default) if one.default == () else one.default


def _section(form: type[Any]) -> Schema:
    found = keys(form).values()
    return section([one.name for one in found if one.required], **{one.name: one.schema for one in found})


@dataclass(frozen=True)
class _Section:
    """Keys that stand together in a recipe."""

    written: tuple[str, ...] = field(default=(), compare=False, repr=False, kw_only=True)
    """Keys that were written though they have their default. They are written again: a run is found by its recipe."""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**data, written=tuple(data))

    def to_dict(self) -> dict[str, Any]:
        """The keys that were written, and those that differ from their defaults."""
        return {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name != "written" and (one.name in self.written or getattr(self, one.name) != one.default)
        }


@dataclass(frozen=True)
class _Choice:
    """One of several things, by its name, and its arguments that are given: the others have torch's defaults."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["name"], {key: value for key, value in data.items() if key != "name"})

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, **self.arguments}


# --- the sections of a recipe -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss(_Choice):
    """The loss, a mean over images; or the sum of several, its `terms`, each times its `factor`."""

    terms: tuple[Loss, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> Self:
        if isinstance(data, Mapping):
            return super().from_dict(data)
        return cls("sum", terms=tuple(cls.from_dict({"name": one} if isinstance(one, str) else one) for one in data))

    def to_dict(self) -> Any:
        return [one.to_dict() for one in self.terms] if self.terms else super().to_dict()

    @property
    def parts(self) -> tuple[Loss, ...]:
        """The losses that are added up: itself where it is no sum."""
        return self.terms or (self,)

    @property
    def factor(self) -> float:
        """What it is multiplied by in a sum."""
        return float(self.arguments.get("factor", 1.0))

    @property
    def options(self) -> dict[str, Any]:
        """Its arguments, its factor aside."""
        return {name: value for name, value in self.arguments.items() if name != "factor"}


class Optimizer(_Choice):
    """An optimizer of `torch.optim`, its name in small letters."""


class Schedule(_Choice):
    """A schedule of the learning rate."""


class Resize(_Choice):
    """How images are brought to the input's height and width."""


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of each channel, of values 0 to 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Moments:
        return cls(tuple(data["mean"]), tuple(data["std"]))

    def to_dict(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std)}


@dataclass(frozen=True)
class Clip(_Section):
    """A limit of the gradients: one of the two is given."""

    norm: Annotated[float | None, _Key("all gradients are scaled down to this norm", number(above=0))] = None
    value: Annotated[float | None, _Key("each gradient value is clipped to [−N, N]", number(above=0))] = None

    @property
    def algorithm(self) -> Literal["norm", "value"]:
        """What is limited."""
        return "value" if self.norm is None else "norm"

    @property
    def limit(self) -> float:
        given = self.value if self.norm is None else self.norm
        assert given is not None
        return given


@dataclass(frozen=True)
class Warmup(_Section):
    """The rise of the learning rate at the beginning: one of `epochs` and `steps` is given."""

    epochs: Annotated[float | None, _Key("over how many epochs it rises", number(above=0))] = None
    steps: Annotated[int | None, _Key("over how many steps it rises", integer(1))] = None
    start: Annotated[float, _Key("the share of the rate that it rises from", number(above=0, maximum=1))] = 0.01


@dataclass(frozen=True)
class Ema(_Section):
    """An exponential moving average of the weights, which is validated, kept and tested."""

    decay: Annotated[float, _Key("the share of itself that it keeps", number(0, below=1))] = 0.999
    every: Annotated[int, _Key("after how many steps it is updated", integer(1))] = 1


_MONITOR: Schema = {
    "title": "`val_loss`, or `val_` and the name of a metric",
    "anyOf": [{"type": "string", "pattern": "^val_[a-z0-9_]+$"}, {"type": "null"}],
}


@dataclass(frozen=True)
class EarlyStopping(_Section):
    """The end of a training that no longer improves."""

    patience: Annotated[int, _Key("after how many epochs without improvement training ends", integer(1))]
    monitor: Annotated[
        str | None,
        _Key("what is to improve: `val_loss`, or a metric of the task, its first one if not given", _MONITOR),
    ] = None
    min_delta: Annotated[float, _Key("what an improvement has to exceed", number(0))] = 0.0


# --- schemas of sections ----------------------------------------------------------------------------------------------


def _exclude(words: str) -> Schema:
    """A key that another one excludes."""
    return refuse({"type": ["object", "number"]}, "key-unknown", words)


def _or_none(words: str, one: Schema) -> Schema:
    """A mapping, which messages describe by these words, or none."""
    return either(one | {"title": words}, {"type": "null"})


def _either_epochs_or_steps(what: str) -> Schema:
    both = _exclude(f"has no meaning beside `epochs`: {what} lasts a number of epochs or of steps")
    return {"if": {"required": ["epochs"]}, "then": {"properties": {"steps": both}}}


_EPOCHS: Schema = {"required": ["epochs"], "description": "or `steps`: a warm-up lasts a number of either"}
_WARMUP = (
    _section(Warmup)
    | _either_epochs_or_steps("a warm-up")
    | {"allOf": [{"if": {"not": {"required": ["steps"]}}, "then": _EPOCHS}]}
)
_LOSS = Loss("cross_entropy")
_RESIZE = Resize("stretch")
_NAMED_WEIGHTS: Schema = {
    "anyOf": [
        {"const": "weights"},
        {"type": "object", "required": ["name"], "properties": {"name": {"const": "weights"}}},
    ]
}
_NORMALIZE: Schema = {
    "title": "true, false, or one of `data`, `weights`, `imagenet`, or `{mean: […], std: […]}`",
    "anyOf": [
        boolean(),
        choice("data", "weights", "imagenet"),
        section(
            ["mean", "std"],
            mean={"type": "array", "items": number(0, 1), "minItems": 1},
            std={"type": "array", "items": number(above=0), "minItems": 1},
        ),
    ],
}
_TERM = choose(None, {name: one | {"properties": one["properties"] | _FACTOR} for name, one in OPTIONS["loss"].items()})
_LOSS_SCHEMA: Schema = {
    "if": {"type": "array"},
    "then": {"title": "a list of one or more losses", "type": "array", "items": _TERM, "minItems": 1},
    "else": choose(_LOSS.name, OPTIONS["loss"])
    | {"title": "a name, `{name: NAME, …}` with arguments, or a list of these"},
}


def add_loss(name: str, one: Option) -> None:
    """Let recipes name a loss of a package."""
    LOSSES[name] = one
    OPTIONS["loss"][name] = one.schema
    add_option(_LOSS_SCHEMA["else"], name, one.schema)
    add_option(_TERM, name, one.schema | {"properties": one.schema["properties"] | _FACTOR})


_NO_COLUMNS = Columns()
_OPTIMIZER = Optimizer("adamw", {"lr": 1e-3, "weight_decay": 1e-4})


# --- the whole --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained: every key, those that are not written by their defaults.

    Of `epochs` and `steps` one is `None`: `epochs` where `steps` is given.
    """

    task: Annotated[
        str | None,
        _Key(
            "what is learned; if not given, what the data set has targets for",
            either({"type": "string"}, {"type": "null"}),
        ),
    ] = None
    data: Annotated[
        str,
        _Key(
            "a data set by its name, or the path of a folder of images, a table or arrays; of a table also the columns "
            "that are the `target`, that it does without (`ignore`), that become a feature for each of their values "
            "(`one_hot`), or that each of several `inputs` takes",
            DATA,
        ),
    ] = "digits"
    epochs: Annotated[int | None, _Key("passes over the training images", integer(1))] = 10
    steps: Annotated[int | None, _Key("the number of the optimizer's steps, in place of `epochs`", integer(1))] = None
    batch_size: Annotated[int, _Key("images per batch", integer(1))] = 64
    accumulate: Annotated[int, _Key("batches whose gradients are accumulated for one step", integer(1))] = 1
    sampler: Annotated[
        Literal["balanced"] | None,
        _Key(
            "`balanced`: each epoch draws images of every class equally often; null, each image once",
            either(choice("balanced"), {"type": "null"}),
        ),
    ] = None
    seed: Annotated[
        int, _Key("the seed of every random choice: initial weights, order, augmentation, dropout", integer(0))
    ] = 42
    validation: Annotated[
        int | float,
        _Key(
            "how much of the training set is kept for validation: a share between 0 and 1, or a number of images, 0 "
            "for none",
            either(integer(0), number(above=0, below=1)),
        ),
    ] = 0.1
    monitor: Annotated[
        str | None,
        _Key(
            "what chooses the best weights: `val_loss`, or a metric of the task, its first one if not given", _MONITOR
        ),
    ] = None
    weights: Annotated[
        str | None,
        _Key(
            "the weights to start from: a file, a run's folder, or `torchvision:NAME`; initial ones if not given",
            either({"type": "string", "pattern": "."}, {"type": "null"}),
        ),
    ] = None
    partial: Annotated[bool, _Key("whether weights that do not fit are left out, and said")] = False
    adapt: Annotated[bool, _Key("whether a file's weights are converted to another size or number of channels")] = False
    freeze: Annotated[
        Freeze | None,
        _Key(
            "the parts that keep their weights and statistics, by their paths: a list, or `{path: epochs}` for those "
            "that are trained after so many epochs",
            FREEZE,
        ),
    ] = None
    lr_scale: Annotated[
        LrScale | None,
        _Key(
            "by what the learning rate of parts is multiplied, by their paths; with `{decay: N}`, that of each part "
            "below a path is N times that of the next",
            LR_SCALE,
        ),
    ] = None
    resize: Annotated[
        Resize, _Key("how images are brought to the input's size", choose(_RESIZE.name, OPTIONS["resize"]))
    ] = _RESIZE
    normalize: Annotated[
        bool | Literal["data", "weights", "imagenet"] | Moments,
        _Key(
            "the mean and standard deviation that each channel is standardised by: `data`, the training images'; "
            "`weights`, what the weights were trained with; true, the latter where it is known, else the former; "
            "`imagenet`, or `{mean: […], std: […]}`; false for none",
            _NORMALIZE,
        ),
    ] = True
    augment: Annotated[
        tuple[AppliedAugmentation, ...],
        _Key(
            "a list of augmentations, each `{name: {arguments}}` or a name alone",
            {"type": "array", "items": augmentations.SCHEMA},
        ),
    ] = ()
    loss: Annotated[
        Loss,
        _Key(
            "a loss, with its arguments, or a list of several, each with a `factor`, which are added up", _LOSS_SCHEMA
        ),
    ] = _LOSS
    outputs: Annotated[
        Outputs | None,
        _Key(
            "outputs, by their names, that learn the same targets as the network's last one, `main`, each with the "
            "weight of its loss; or of a table, each with a `target` of its own",
            OUTPUTS,
        ),
    ] = None
    optimizer: Annotated[
        Optimizer, _Key("an optimizer, with its arguments", choose(_OPTIMIZER.name, OPTIONS["optimizer"]))
    ] = _OPTIMIZER
    decay: Annotated[
        Literal["all", "weights"],
        _Key(
            "what the optimizer's weight decay acts on: all parameters, or weights, which leaves out those of norms, "
            "biases, and the scales and slopes that other layers give each channel"
        ),
    ] = "all"
    clip: Annotated[
        Clip | None,
        _Key(
            "`{norm: N}`: all gradients are scaled down to a norm of N; `{value: N}`: each is held between −N and N",
            _or_none("`{norm: N}` or `{value: N}`", _section(Clip) | {"minProperties": 1, "maxProperties": 1}),
        ),
    ] = None
    schedule: Annotated[
        Schedule | None,
        _Key(
            "a schedule of the learning rate, with its arguments; null for a constant rate",
            choose(None, OPTIONS["schedule"], null=True),
        ),
    ] = None
    warmup: Annotated[
        Warmup | None,
        _Key(
            "`{epochs: N}` or `{steps: N}`, over which the rate rises evenly from a share of it, `start`",
            _or_none("`{epochs: N}` or `{steps: N}`", _WARMUP),
        ),
    ] = None
    ema: Annotated[
        Ema | None,
        _Key(
            "`{decay: N}`: an exponential moving average of the weights, which keeps a share `decay` of itself each "
            "`every` steps",
            _or_none("`{decay: N}`", _section(Ema)),
        ),
    ] = None
    early_stopping: Annotated[
        EarlyStopping | None,
        _Key(
            "`{patience: N}`: training ends after `patience` epochs without improvement by more than `min_delta` of "
            "what `monitor` names",
            _or_none("`{patience: N}`", _section(EarlyStopping)),
        ),
    ] = None
    precision: Annotated[
        Literal["32-true", "bf16-mixed", "16-mixed"],
        _Key("`32-true`, or for faster training with less memory `bf16-mixed`, or `16-mixed`, which needs a GPU"),
    ] = "32-true"
    compile: Annotated[bool, _Key("whether `torch.compile` makes the network faster")] = False
    channels_last: Annotated[
        bool | Literal["auto"],
        _Key(
            "whether images and weights lie in memory with their channels last; `auto`: where that is faster",
            either(choice("auto"), boolean()),
        ),
    ] = "auto"
    exact: Annotated[
        bool, _Key("whether results on a CPU are bitwise those of a plain torch loop: `auto` changes no rounding")
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

_CHOICES: dict[str, _Section | _Choice | None] = {
    "loss": _LOSS,
    "optimizer": _OPTIMIZER,
    "schedule": None,
    "resize": _RESIZE,
}
"""What is meant where no name is written."""

_FORMS: dict[str, type[_Section | _Choice | Freeze | LrScale | Outputs]] = {
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

_KEYS = {name: one.schema for name, one in keys(Recipe).items()}

SCHEMA: Schema = (
    section(**_KEYS)
    | _either_epochs_or_steps("a training")
    | {
        "allOf": [
            {
                "if": {"properties": {"validation": {"not": {"const": 0}}}},
                "else": {
                    "properties": {
                        "early_stopping": _exclude("has no meaning without validation images"),
                        "monitor": refuse(
                            {"type": "string"}, "key-unknown", "has no meaning without validation images"
                        ),
                    }
                },
            },
            {
                "if": {"required": ["weights"], "properties": {"weights": {"type": "string"}}},
                "else": {
                    "properties": {
                        key: refuse({"const": value}, "key-unknown", "has no meaning without `weights`")
                        for key, value in (("partial", True), ("adapt", True), ("normalize", "weights"))
                    }
                    | {"resize": refuse(_NAMED_WEIGHTS, "key-unknown", "has no meaning without `weights`")}
                },
            },
            {
                "if": {"required": ["exact"], "properties": {"exact": {"const": True}}},
                "then": {
                    "properties": {
                        key: refuse(
                            {"const": True},
                            "key-unknown",
                            "rounds otherwise, which `exact` excludes: leave one of them out",
                        )
                        for key in ("compile", "channels_last")
                    }
                },
            },
        ]
    }
)
"""`validation` is a share of the training set below 1, or a number of samples; 0 for none."""

_PARTIAL_LOSS: Schema = {"type": ["string", "object", "array"]}
PARTIAL: Schema = section(
    **_KEYS
    | {key: _PARTIAL_LOSS if key == "loss" else {"type": ["string", "object", "null"]} for key in OPTIONS}
    | {key: {"type": ["object", "null"]} for key in ("warmup", "early_stopping")}
)
"""A recipe that is to be laid over another one, whose choices may leave out what the other one says."""
