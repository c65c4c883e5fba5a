"""How much room each part takes, and what is shown of it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from operator import itemgetter

from archspec.foundation.shapes import Shape, show
from archspec.views.drawing.labels import Line, cut, text_width
from archspec.views.drawing.outline import Outline
from archspec.views.drawing.part import Part
from archspec.views.drawing.scene import (
    BESIDE,
    BUS,
    CIRCLE,
    FRAME,
    GAP,
    HEADER,
    LANE,
    LINE,
    NARROWEST,
    PAD_X,
    PAD_Y,
    SHAPE,
    SHAPE_GAP,
    SIGNS,
    SMALL,
    STEP,
    TITLE,
    TITLE_X,
    UNDER,
)


@dataclass(frozen=True)
class Extent:
    """The room that a part takes to both sides of its axis, and downwards."""

    left: float = 0
    right: float = 0
    height: float = 0


class Measure:
    """The room that the parts of a network take, of which some are open."""

    def __init__(self, outline: Outline, is_open: Callable[[Part], bool]) -> None:
        self.outline, self.is_open = outline, is_open
        self.extents: dict[Part, Extent] = {}
        self.frames: dict[Part, bool] = {}
        sizes = [max(node.output[1:]) for node in outline.graph.nodes if len(node.output) > 2]
        self.coarsest = max(min(sizes, default=1), 1)
        self.finest = max(max(sizes, default=1), 1)

    def bent(self, parts: Sequence[Part], bend: tuple[int, int]) -> Extent:
        """The room of a U; its axis is that of the left arm."""
        raise NotImplementedError

    # what is shown ----------------------------------------------------------------------------------------------

    def shown(self, parts: Sequence[Part]) -> list[Part]:
        """Parts as they stand in a column: open ones that have no frame give way to what they hold."""
        found: list[Part] = []
        for part in parts:
            if part.kind in ("group", "side") and self.is_open(part) and not self.framed(part):
                found += self.shown(part.children)
            else:
                found.append(part)
        return found

    def framed(self, part: Part) -> bool:
        """Whether an open group has a frame: where it would hold but one box, or frames alone, it has none."""
        if part not in self.frames:
            self.frames[part] = self.needs_frame(part)
        return self.frames[part]

    def needs_frame(self, part: Part) -> bool:
        if part is self.outline.root or (part.kind == "side"):
            return part.kind == "side"
        inner = [one for one in self.shown(part.children) if one.kind != "save"]
        if part.is_pass or (part.count > 1 and part.equal):
            return True
        if len(inner) < 2:
            return bool(inner) and inner[0].kind == "merge"
        return not all(one.kind == "group" and self.is_open(one) for one in inner)

    def across(self, parts: Sequence[Part]) -> list[tuple[int, int, int, int]]:
        """The saved tensors that lead from one of some parts to a later one: the indices of both, `save` and `load`."""
        places = sorted((part.start, part.stop, at) for at, part in enumerate(parts) if part.start < part.stop)
        if not places:
            return []
        begins, skips = [begin for begin, *_ in places], self.outline.skips

        def part_of(node: int) -> int | None:
            begin, stop, at = places[max(0, bisect_right(begins, node) - 1)]
            return at if begin <= node < stop else None

        found = []
        first, last = (bisect_left(skips, node, key=itemgetter(1)) for node in (begins[0], places[-1][1]))
        for save, load in skips[first:last]:
            if load in self.outline.flowing:
                continue
            start, end = part_of(save), part_of(load)
            if start is not None and end is not None and start < end:
                found.append((start, end, save, load))
        return found

    def bend(self, parts: Sequence[Part]) -> tuple[int, int] | None:
        """Where a column is bent to a U: the first part of its bottom, and that of the arm that leads up again.

        It is, where saved tensors become smaller, in size or in resolution, and are loaded in the reverse order.
        """
        skips = self.across(parts)
        loads: dict[int, list[int]] = {}
        for _, _, save, load in skips:
            loads.setdefault(save, []).append(load)
        if len(loads) < 2:
            return None
        last, first = max(start for start, *_ in skips), min(end for _, end, *_ in skips)
        nested = all(min(loads[one]) > max(loads[two]) for one, two in pairwise(sorted(loads)))
        shapes = [self.outline.graph.nodes[save].output for save in sorted(loads)]
        if last >= first or not nested or not (falling(map(prod, shapes)) or falling(max(one[1:]) for one in shapes)):
            return None
        low = first - 1
        while low > last + 1 and parts[low].kind in ("save", "load"):
            low -= 1
        return max(last + 1, low), first

    # how large it is --------------------------------------------------------------------------------------------

    def column(self, parts: Sequence[Part]) -> Extent:
        """The room of a sequence."""
        parts = self.shown(parts)
        bend = self.bend(parts)
        if bend is not None:
            return self.bent(parts, bend)
        left = right = height = 0.0
        for at, part in enumerate(parts):
            one = self.extent(part)
            left, right = max(left, one.left), max(right, one.right)
            height += one.height + (self.gap(parts, at) if at + 1 < len(parts) else self.below(part))
        lanes = len({save for _, _, save, _ in self.across(parts)})
        return Extent(left, right + (lanes * LANE + LANE if lanes else 0), height)

    def gap(self, parts: Sequence[Part], at: int) -> float:
        """The room below a part, up to the next one."""
        part = parts[at]
        if part.kind in ("save", "load"):
            return 0
        following = next((one for one in parts[at + 1 :] if one.kind not in ("save", "load")), None)
        if following is None:
            return self.below(part)
        if self.label_of(part):
            return SHAPE_GAP
        beside = following.kind in ("output", "side")
        return GAP / 2 if part.kind in ("output", "side") or beside else GAP

    def below(self, part: Part) -> float:
        """The room that the shape below the last part of a column takes."""
        return UNDER if self.label_of(part) else 0

    def label_of(self, part: Part) -> str:
        """The shape that stands beside the line that leaves a part: where it changed, and is not seen inside it."""
        if part.kind in ("input", "given"):
            return show(part.output)
        if part.kind == "merge":
            return show(part.output) if part.family == "merge" and self.changes(part) else ""
        if part.kind == "layer" or (part.kind == "group" and not self.is_open(part)):
            return show(part.output) if part.output != part.input else ""
        return ""

    def changes(self, merge: Part) -> bool:
        """Whether a merge gives a shape that none of its branches ends in."""
        ends = [branch[-1].output if branch else merge.input for branch in merge.branches]
        return merge.output not in ends

    def extent(self, part: Part) -> Extent:
        if part not in self.extents:
            self.extents[part] = self.measure(part)
        return self.extents[part]

    def measure(self, part: Part) -> Extent:
        if part.kind in ("save", "load"):
            return Extent()
        if part.kind == "merge":
            return self.merge_extent(part)
        if part.kind == "output":
            width = text_width(part.title, SMALL) + 2 * PAD_X
            return Extent(0, BESIDE + width, LINE[True] + 6)
        if part.kind == "given":
            room = self.box_extent(part)
            return Extent(0, BESIDE + max(2 * room.left, room.left + room.right), room.height)
        if part.kind == "side":
            inner = self.column(part.children) if self.is_open(part) else self.box_extent(part)
            if part.lines and self.is_open(part):
                inner = self.frame_extent(part, inner)
            return Extent(0, BESIDE + inner.left + inner.right, inner.height + BUS + GAP)
        if part.kind == "group" and self.is_open(part):
            return self.frame_extent(part, self.column(part.children))
        return self.box_extent(part)

    def frame_extent(self, part: Part, inner: Extent) -> Extent:
        left, right = inner.left + FRAME, inner.right + FRAME
        title = self.title_width(part)
        if title > left:  # it stands to the right of the line that enters
            right = max(right, title)
        return Extent(left, right, inner.height + HEADER + FRAME)

    def title_width(self, part: Part) -> float:
        return sum(text_width(text, SMALL) for text in self.frame_title(part)) + 2 * TITLE_X

    def frame_title(self, part: Part) -> tuple[str, str]:
        """What an open group is called, and how many of it follow one another."""
        return " · ".join(line.text for line in part.lines), f"×{part.count}" if part.count > 1 else ""

    def lines_of(self, part: Part) -> tuple[Line, ...]:
        if part.kind == "end":
            return (Line("output"), Line(cut(show(part.output)), small=True))
        return part.lines

    def box_extent(self, part: Part) -> Extent:
        lines = self.lines_of(part)
        widths = [text_width(line.text, SMALL if line.small else TITLE) for line in lines]
        if part.count > 1:
            title = next(at for at, line in enumerate(lines) if not line.small)
            widths[title] += text_width(f"  ×{part.count}", TITLE) + 6
        width = max(widths, default=0) + 2 * PAD_X
        height = sum(LINE[line.small] for line in lines) + 2 * PAD_Y
        if part.kind not in ("input", "given", "end"):
            width = max(width, self.resolution_width(part.input))
        else:
            height -= 4
        label = self.label_of(part)
        right = max(width / 2, 6 + text_width(label, SHAPE) if label else 0)
        return Extent(width / 2, right, height)

    def coarseness(self, shape: Shape) -> int:
        """How often the resolution was halved since the finest; 0 of what has none."""
        size, halvings = max(shape[1:]) if len(shape) > 2 else self.finest, 0
        while size * 2 <= self.finest:
            size, halvings = size * 2, halvings + 1
        return halvings

    def resolution_width(self, shape: Shape) -> float:
        """The least width of a box: the finer its input, the wider."""
        size = max(shape[1:]) if len(shape) > 2 else 0
        ratio, doublings = size / self.coarsest, 0
        while ratio >= 2:
            ratio, doublings = ratio / 2, doublings + 1
        return NARROWEST + STEP * min(doublings, 8)

    # merges: branches side by side -----------------------------------------------------------------------------

    def branches(self, merge: Part) -> list[list[Part]]:
        return [self.shown(branch) for branch in merge.branches]

    def spread(self, merge: Part) -> tuple[list[float], Extent]:
        """The axes of a merge's branches, from its own, and the room of all of them."""
        branches = self.branches(merge)
        extents = [self.column(branch) for branch in branches]
        full = [at for at, one in enumerate(extents) if one.height > 0]
        ways = [at for at, branch in enumerate(branches) if at not in full and not is_load(branch)]
        axes = [0.0] * len(branches)
        centre = self.centre(branches, full)
        if centre is not None:
            left, right = extents[centre].left, extents[centre].right
            for at in [*(at for at in full if at != centre)]:
                axes[at] = right + BESIDE + extents[at].left
                right = axes[at] + extents[at].right
            for at in ways:
                axes[at] = right + LANE
                right += LANE
        else:
            left, place = 0.0, 0.0
            order = [at for at in range(len(branches)) if at in full or at in ways]
            for number, at in enumerate(order):
                one = extents[at] if at in full else Extent(2, 2, 0)
                place += (BESIDE if number else 0) + one.left
                axes[at] = place
                place += one.right
            shift = (axes[order[0]] + axes[order[-1]]) / 2 if order else 0
            axes = [axis - shift for axis in axes]
            left, right = shift, place - shift
        return axes, Extent(left, right + (4 if ways else 0), max((one.height for one in extents), default=0))

    def centre(self, branches: Sequence[Sequence[Part]], full: Sequence[int]) -> int | None:
        """The branch that goes straight on: the only one that is not empty, or much longer than the other one."""
        if len(full) == 1:
            return full[0]
        if len(full) == 2 and len(branches) == 2:
            one, two = (self.boxes_in(branches[at]) for at in full)
            if one != two and min(one, two) == 1:
                return full[0] if one > two else full[1]
        return None

    def boxes_in(self, parts: Sequence[Part]) -> int:
        found = 0
        for part in self.shown(parts):
            if part.kind == "merge":
                found += 1 + sum(self.boxes_in(branch) for branch in part.branches)
            elif part.kind in ("group", "side") and self.is_open(part):
                found += self.boxes_in(part.children)
            else:
                found += part.kind in ("layer", "group", "side")
        return found

    def sign(self, merge: Part) -> tuple[str, float]:
        """What stands in a merge's sign, and how wide it is."""
        kind = merge.title
        text = SIGNS.get(kind, kind)
        return text, CIRCLE if kind in SIGNS else text_width(text, SMALL) + 2 * PAD_X - 8

    def merge_extent(self, merge: Part) -> Extent:
        _, room = self.spread(merge)
        _, width = self.sign(merge)
        label = self.label_of(merge)
        right = max(room.right, width / 2, 6 + text_width(label, SHAPE) if label else 0)
        height = room.height + (2 * BUS + 8 if room.height else 6)
        return Extent(max(room.left, width / 2), right, height + CIRCLE)


def is_load(branch: Sequence[Part]) -> bool:
    """Whether a branch is a saved tensor and nothing else."""
    return any(part.kind == "load" for part in branch) and all(part.kind in ("load", "save") for part in branch)


def falling(sizes: Iterable[int]) -> bool:
    """Whether sizes become smaller; some that follow one another may be equal."""
    found = list(sizes)
    return found[0] > found[-1] and all(one >= two for one, two in pairwise(found))
