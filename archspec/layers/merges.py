"""Merges: how the shapes of parallel branches become one, and what to say where they cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.shapes import Shape, show


def _concatenated(shapes: list[Shape], axis: int = 0) -> Shape | None:
    if len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1 or axis >= len(shapes[0]):
        return None
    return *shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]


def _added(shapes: list[Shape]) -> Shape | None:
    return shapes[0] if len(set(shapes)) == 1 else None


def _subtracted(shapes: list[Shape]) -> Shape | None:
    return _added(shapes) if len(shapes) == 2 else None


def _multiplied(shapes: list[Shape]) -> Shape | None:
    """Axes are equal, or 1 where a factor serves a whole axis (a weight for each channel, say)."""
    if len({len(shape) for shape in shapes}) > 1:
        return None
    axes = [set(axis) - {1} for axis in zip(*shapes, strict=True)]
    return tuple(axis.pop() if axis else 1 for axis in axes) if all(len(axis) <= 1 for axis in axes) else None


def _matrix_product(shapes: list[Shape]) -> Shape | None:
    """The last two axes are a matrix; those before them, of equal sizes, number the matrices."""
    if len(shapes) != 2 or len(shapes[0]) != len(shapes[1]) or len(shapes[0]) < 2:
        return None
    (*stack, rows, inner), (*other, joined, columns) = shapes
    return (*stack, rows, columns) if stack == other and inner == joined else None


@dataclass(frozen=True, slots=True)
class Attention:
    """How the branches of `attend` attend."""

    heads: int = 1
    causal: bool = False
    """Whether tokens attend to themselves and those before them alone."""
    dropout: float = 0.0
    """The probability by which a weight is set to zero in training."""


ONE_HEAD = Attention()


def _attended(shapes: list[Shape], attention: Attention = ONE_HEAD) -> Shape | None:
    """Queries and keys are of one width, keys and values as many; a bias is added to the scores of each head."""
    if len(shapes) not in (3, 4) or any(len(shape) != 2 for shape in shapes[:3]):
        return None
    heads = attention.heads
    (queries, width), (keys, joined), (values, out) = shapes[:3]
    fit = width == joined and keys == values and not width % heads and not out % heads
    if not fit or any(bias != (heads, queries, keys) for bias in shapes[3:]):
        return None
    return None if attention.causal and queries != keys else (queries, out)


def _lacks(shapes: list[Shape], attention: Attention) -> tuple[str, str | None]:
    """What the branches of an `attend` need that do not fit, in words, and what to do."""
    if len(shapes) not in (3, 4):
        return "three branches, queries, keys and values, and may take a fourth, a bias of the scores", None
    if any(len(shape) != 2 for shape in shapes[:3]):
        maps = all(len(shape) == 3 for shape in shapes[:3])
        return "queries, keys and values of tokens (tokens×features)", "end each branch in `tokens`" if maps else None
    heads = attention.heads
    (queries, width), (keys, joined), (values, out) = shapes[:3]
    if width != joined:
        return "queries and keys of as many features", None
    if keys != values:
        return "as many values as keys", None
    if width % heads or out % heads:
        return f"features that its `heads` ({heads}) divide, in every branch", None
    if attention.causal and queries != keys:
        return "as many keys as queries, since it is `causal`", None
    bias = shapes[3]
    help = f"`reshape: [1, {queries}, {keys}]` makes one of it" if bias == (queries, keys) else None
    if bias == (1, queries, keys):
        help = f"each head takes one: join {heads} of them by `concat`"
    elif help and heads > 1:
        help += f"; each of the {heads} heads takes one: join them by `concat`"
    return f"a bias of heads×queries×keys, {show((heads, queries, keys))}", help


def _attention_macs(shapes: list[Shape]) -> int:
    (queries, width), (keys, _), (_, out) = shapes[:3]
    return queries * keys * (width + out)


def _matrix_macs(shapes: list[Shape]) -> int:
    return prod(shapes[0]) * shapes[1][-1]


@dataclass(frozen=True, slots=True)
class MergeRule:
    """One way to join branches; `archspec.assembly.joins.MERGES` says how torch does it."""

    doc: str
    """What it gives, in a line."""
    needed: str
    """What shapes its branches must have, in words."""
    output: Callable[[list[Shape]], Shape | None]
    """The shape of what it gives; `None` where the branches do not fit."""
    macs: Callable[[list[Shape]], int] = lambda shapes: 0
    """Its own multiply-accumulate operations (MACs), of branches that fit."""
    keeps: bool = False
    """Whether it keeps its branches for its backward pass, and of three or more what it makes of the first ones."""


MERGE_RULES: Mapping[str, MergeRule] = {
    "concat": MergeRule(
        "The branches, joined along the first axis, the channels, or along another.",
        "equal shapes but for the channels, or the `axis`",
        _concatenated,
    ),
    "add": MergeRule("The sum of the branches.", "equal shapes", _added),
    "subtract": MergeRule("The first branch minus the second.", "two branches of equal shapes", _subtracted),
    "multiply": MergeRule("The product of the branches.", "equal shapes, or axes of 1", _multiplied, keeps=True),
    "mean": MergeRule("The mean of the branches.", "equal shapes", _added),
    "maximum": MergeRule("The largest of the branches' values, at each place.", "equal shapes", _added, keeps=True),
    "matmul": MergeRule(
        "The matrix product of two branches, over their last two axes.",
        "two branches, `…×n×k` and `…×k×m`",
        _matrix_product,
        _matrix_macs,
        keeps=True,
    ),
    "attend": MergeRule(
        "Attention of queries to keys and values: softmax(Q·Kᵀ / √k + bias)·V, for each of `heads`.",
        "three branches, of queries `T×k`, keys `S×k` and values `S×v`, and may take a bias `heads×T×S`; "
        "`heads` divides k and v, and with `causal` T is S",
        _attended,
        _attention_macs,
        keeps=True,
    ),
}


OF_EQUALS = ("add", "subtract", "mean", "maximum")
"""Those whose branches must have one shape."""


def output(kind: str, shapes: list[Shape], axis: int = 0, attention: Attention = ONE_HEAD) -> Shape | None:
    """The shape of what a merge gives; `None` where the branches do not fit.

    Args:
        kind: The merge.
        shapes: What its branches give.
        axis: The axis that `concat` joins.
        attention: What stands beside `attend`.
    """
    if kind == "attend":
        return _attended(shapes, attention)
    return _concatenated(shapes, axis) if kind == "concat" else MERGE_RULES[kind].output(shapes)


def split(shape: Shape, axis: int, sizes: list[int] | None, count: int) -> tuple[int, ...]:
    """The sizes of the parts of a tensor, one for each of `count` branches: `sizes`, or equal ones.

    Raises:
        Fault: They are not as many as the branches, or do not make up the axis.
    """
    if axis >= len(shape):
        raise Fault(
            "input-shape", f"`split` along axis {axis} needs more than {axis} axes, but its input is {show(shape)}"
        )
    length = shape[axis]
    whole = f"the {length} channels" if axis == 0 and len(shape) != 2 else f"axis {axis}, which is {length}"
    if sizes is None:
        if length % count:
            help = f"give a size for each: `split: {_nearly_equal(length, count)}`" if length >= count else None
            if len(shape) == 2 and not shape[1 - axis] % count:  # of tokens, features are mostly meant
                help = f"write `axis: {1 - axis}` beside it for equal parts of the {shape[1 - axis]}"
            raise Fault("input-shape", f"`split` cannot make {count} equal parts of {whole}", help=help)
        return (length // count,) * count
    if len(sizes) != count:
        parts = f"{len(sizes)} part{'s' * (len(sizes) != 1)}"
        message = f"`split` makes {parts} for {count} branches: each branch takes one"
        raise Fault("input-shape", message, help="give one size for each branch, or `split: equal`")
    if sum(sizes) != length:
        total = " + ".join(map(str, sizes))
        raise Fault("input-shape", f"the sizes of `split` do not add up to {whole}: {total} is {sum(sizes)}")
    return tuple(sizes)


def _nearly_equal(length: int, count: int) -> list[int]:
    return [length // count + (i < length % count) for i in range(count)]


def macs(kind: str, shapes: list[Shape]) -> int:
    """The MACs of a merge itself, beside those of its branches, whose shapes fit."""
    return MERGE_RULES[kind].macs(shapes)


MANY = 20  # branches; of more, those are shown that differ from the first


def mismatch(
    kind: str,
    shapes: list[Shape],
    keys: list[str],
    marks: list[Mark],
    mark: Mark,
    empty: list[bool],
    axis: int = 0,
    attention: Attention = ONE_HEAD,
) -> Fault:
    """The fault of a merge whose branches, each with its key and place, do not fit; some may be `empty`."""
    if kind == "concat" and (low := min(map(len, shapes))) <= axis:
        message = f"`concat` along axis {axis} needs more than {axis} axes, but its branches have {low}"
        return Fault("shape-mismatch", message, mark, help=f"the first axis is 0, the last {low - 1}")
    shown = [show(shape) for shape in shapes]
    width, room = max(map(len, keys)), max(map(len, shown))
    notes = [f"{key:<{width}}  {text:>{room}}   {at}" for key, text, at in zip(keys, shown, marks, strict=True)]
    if len(notes) > MANY:
        differing = [i for i, shape in enumerate(shapes) if shape != shapes[0]]
        chosen = [0, *differing][:MANY]
        notes = [*(notes[i] for i in chosen), f"… {len(notes) - len(chosen):,} more"]
    needed = MERGE_RULES[kind].needed
    if kind == "concat":
        needed = f"equal shapes but for {f'axis {axis}' if axis else 'the channels'}"
    help = _hint(kind, shapes, empty, axis)
    if kind == "attend":
        needed, help = _lacks(shapes, attention)
    message = f"`{kind}` needs {needed}, but its branches give"
    return Fault("shape-mismatch", message, mark, notes=notes, help=help)


def _hint(kind: str, shapes: list[Shape], empty: list[bool], axis: int) -> str | None:
    if axis and kind == "concat" and _concatenated(shapes, axis - 1) is not None:
        channels = ", the channels" if axis == 1 and len(shapes[0]) > 2 else ""
        return f"axes are counted from 0, without the batch: these fit along axis {axis - 1}{channels}"
    if kind in ("matmul", "attend") or axis or len(shapes) != 2 or len(shapes[0]) != 3 or len(shapes[1]) != 3:
        return None
    (c, *size), (d, *other) = shapes
    if kind == "multiply" and [1, 1] in (size, other):
        return f"end both branches in the same number of channels: {c if other == [1, 1] else d}, or 1"
    if kind in OF_EQUALS and [1, 1] in (size, other) and c == d:
        whole = other if size == [1, 1] else size
        return f"a `multiply` takes 1×1 as it is; here, end that branch in `upsample: {{size: {whole}}}`"
    if kind in OF_EQUALS and any(empty) and not all(empty):
        wanted, given = (shapes[1], shapes[0]) if empty[0] else (shapes[0], shapes[1])
        return _beside_empty(wanted, given)
    steps = {a / b for a, b in zip(other, size, strict=True)}
    if size != other and len(steps) == 1:
        step = max(steps.pop(), 1)
        if step == int(step) and step > 1:
            return f"the second branch is {int(step)} times as large: give it `stride: {int(step)}`"
        return "the branches differ in height and width: give them the same strides and padding"
    if size == other and c != d and kind in OF_EQUALS:
        return f"end both branches in the same number of channels: {c}, or {d}"
    return "the branches differ in height and width: give them the same strides and padding"


def _beside_empty(wanted: Shape, given: Shape) -> str:
    """What makes an empty branch, which gives `given`, and another one, which gives `wanted`, equal."""
    stride = -(-given[1] // wanted[1])
    arguments = f"out: {wanted[0]}" + (f", stride: {stride}" if stride > 1 else "")
    if all(-(-size // stride) == other for size, other in zip(given[1:], wanted[1:], strict=True)):
        return f"an empty branch gives its input unchanged: write `shortcut: {{{arguments}}}` in its place"
    lost = [size - other for size, other in zip(given[1:], wanted[1:], strict=True)]
    if len(set(lost)) > 1 or lost[0] < 0 or lost[0] % 2:
        return "the branches differ in height and width: give them the same strides and padding"
    cure = f"the other branch loses {lost[0]} rows and columns: give its layers `padding`, {lost[0] // 2} in all"
    return cure if wanted[0] == given[0] else f"{cure}, and write `shortcut: {{out: {wanted[0]}}}` for the empty one"
