"""The sections of a recipe as dataclasses, whose fields say of each key its type, its default and a line about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Annotated, Any, Literal, Self, get_args, get_origin, get_type_hints

from archspec.foundation.arguments import REQUIRED, Argument, Schema, boolean, choice, integer, number
from archspec.recipe.options import section


@dataclass(frozen=True)
class Key:
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
    if isinstance(one.default, (Section, Choice)):
        return one.default.to_dict()
    return REQUIRED if one.default is MISSING else list(one.default) if one.default == () else one.default


def section_schema(form: type[Any]) -> Schema:
    found = keys(form).values()
    return section([one.name for one in found if one.required], **{one.name: one.schema for one in found})


@dataclass(frozen=True)
class Section:
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
class Choice:
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
class Loss(Choice):
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


class Optimizer(Choice):
    """An optimizer of `torch.optim`, its name in small letters."""


class Schedule(Choice):
    """A schedule of the learning rate."""


class Resize(Choice):
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
class Clip(Section):
    """A limit of the gradients: one of the two is given."""

    norm: Annotated[float | None, Key("all gradients are scaled down to this norm", number(above=0))] = None
    value: Annotated[float | None, Key("each gradient value is clipped to [−N, N]", number(above=0))] = None

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
class Warmup(Section):
    """The rise of the learning rate at the beginning: one of `epochs` and `steps` is given."""

    epochs: Annotated[float | None, Key("over how many epochs it rises", number(above=0))] = None
    steps: Annotated[int | None, Key("over how many steps it rises", integer(1))] = None
    start: Annotated[float, Key("the share of the rate that it rises from", number(above=0, maximum=1))] = 0.01


@dataclass(frozen=True)
class Ema(Section):
    """An exponential moving average of the weights, which is validated, kept and tested."""

    decay: Annotated[float, Key("the share of itself that it keeps", number(0, below=1))] = 0.999
    every: Annotated[int, Key("after how many steps it is updated", integer(1))] = 1


MONITOR: Schema = {
    "title": "`val_loss`, or `val_` and the name of a metric",
    "anyOf": [{"type": "string", "pattern": "^val_[a-z0-9_]+$"}, {"type": "null"}],
}


@dataclass(frozen=True)
class EarlyStopping(Section):
    """The end of a training that no longer improves."""

    patience: Annotated[int, Key("after how many epochs without improvement training ends", integer(1))]
    monitor: Annotated[
        str | None,
        Key("what is to improve: `val_loss`, or a metric of the task, its first one if not given", MONITOR),
    ] = None
    min_delta: Annotated[float, Key("what an improvement has to exceed", number(0))] = 0.0
