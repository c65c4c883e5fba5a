"""The tensors that a call gives to a block by name, and those that it keeps of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.shapes import Shape
from archspec.foundation.source import List
from archspec.foundation.values import describe
from archspec.language.blocks import Block
from archspec.language.names import check_tensor
from archspec.language.syntax import Expression
from archspec.plan.nodes import Port, Wire


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tensor of the caller's that a block takes."""

    name: str
    mark: Mark
    shape: Shape | None


@dataclass(frozen=True, slots=True)
class Given:
    """What stands at `load` and `save` beside a call; `None` where nothing does."""

    loads: tuple[Loaded, ...] | None = None
    saves: tuple[tuple[str, Mark], ...] | None = None
    load_mark: Mark | None = None
    save_mark: Mark | None = None


NOTHING = Given()


def read_names(kind: str, written: Expression, value: object) -> list[tuple[str, Mark]]:
    """The names that stand at `load` or `save` beside a call, each with its place. Raises `Fault`."""
    values = value if isinstance(value, list) else [value]
    places = written.value.items if isinstance(written.value, List) else [written.value] * len(values)
    found: list[tuple[str, Mark]] = []
    for name, place in zip(values, places, strict=True):
        if not isinstance(name, str):
            message = f"`{kind}` beside a block needs a list of names, not {describe(value)}"
            raise Fault("formula-type" if written.is_formula else "type-mismatch", message, place.mark)
        check_tensor(name, place.mark)
        if kind == "save" and name in dict(found):
            raise Fault("duplicate-name", f"`{name}` stands twice in one `save`", place.mark)
        found.append((name, place.mark))
    return found


def check_given(owner: str, inputs: Sequence[str], outputs: Sequence[str], given: Given, mark: Mark) -> None:
    """Hold what a call says of tensors to what a block, or layer, takes and gives by name. Raises `Fault`."""
    sides = (
        ("load", "takes", inputs, given.loads, given.load_mark, "the tensor that reaches it", "before"),
        ("save", "gives", outputs, given.saves, given.save_mark, "one tensor that goes on", "behind"),
    )
    for kind, verb, names, found, at, otherwise, where in sides:
        if found is None and len(names) > 1:
            help = f"write `{kind}: [{', '.join(names)}]` beside it, with the names that they have here"
            raise Fault(
                "tensor-count", f"`{owner}` {verb} {_tensors(names)}, and here stands no `{kind}`", mark, help=help
            )
        if found is not None and not names:
            help = f"put `- {kind}: …` {where} it"
            message = f"`{kind}` has no meaning beside `{owner}`, which {verb} {otherwise}"
            raise Fault("tensor-count", message, at, help=help)
        if found is not None and len(found) != len(names):
            message = f"`{owner}` {verb} {_tensors(names)}, but `{kind}` names {len(found)}"
            raise Fault("tensor-count", message, at)


def _tensors(names: Sequence[str]) -> str:
    return f"{len(names)} tensor{'s' * (len(names) != 1)}, {join_words(names)}"


def make_ports(
    block: Block, given: Given, reaches: Shape, outputs: Sequence[Shape], mark: Mark
) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """What a call leads into a block and out of it."""
    loads = given.loads or (None,) * len(block.inputs)
    saves = given.saves or (None,) * len(block.outputs)
    takes = tuple(
        Port(name, Wire("load", one.name, reaches, one.shape or reaches, mark) if one else None)
        for (name, _), one in zip(block.inputs, loads, strict=True)
    )
    gives = tuple(
        Port(name, Wire("save", one[0], shape, shape, one[1]) if one else None)
        for (name, _), one, shape in zip(block.outputs, saves, outputs, strict=True)
    )
    return takes, gives
