"""Saved tensors: what `save` keeps and `load` returns to, within one network or block body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archspec.foundation.errors import Fault, Frame, Mark, join_words
from archspec.foundation.report import Report
from archspec.foundation.shapes import Shape
from archspec.foundation.spelling import did_you_mean
from archspec.language.syntax import Call, Invalid, SyntaxNode, Wire, iterate_bodies
from archspec.plan.sharing import Shared

MOST_LISTED = 10  # names, in a help


@dataclass
class _Saved:
    shape: Shape | None  # `None`: not known, since something before it is wrong
    mark: Mark
    frames: tuple[Frame, ...]
    loaded: bool = False


class WrittenSaves:
    """What a body may save and load, as written: the places of its saves, and the names that errors hide."""

    def __init__(self, body: SyntaxNode) -> None:
        self.saves: dict[str | None, list[Mark]] = {}
        self.hidden: set[str | None] = set()
        for one in iterate_bodies(body):
            if isinstance(one, Invalid):
                self.hidden |= one.tensors
            elif isinstance(one, Wire) and one.kind == "save":
                self.saves.setdefault(None if one.name.is_formula else one.name.data, []).append(one.mark)
            elif isinstance(one, Call) and one.saves is not None:
                names = one.saves.data if isinstance(one.saves.data, list) else [one.saves.data]
                for name in names:
                    self.saves.setdefault(name if isinstance(name, str) else None, []).append(one.saves.mark)


class Tensors:
    """The tensors that one body has saved so far. An auxiliary classifier's body also sees those around it."""

    def __init__(
        self,
        wires: WrittenSaves,
        report: Report,
        *,
        inputs: Mapping[str, tuple[Shape | None, Mark]] | None,
        around: Tensors | None = None,
        block: str = "",
        outputs: tuple[tuple[str, Mark], ...] = (),
        depth: int = 0,
    ) -> None:
        self.report = report
        self.depth = depth  # of calls and passes around the body
        self.around = around
        self.block = block
        self._errors = report.count
        self._inputs = inputs or {}
        self._outputs = outputs
        self._saved = {name: _Saved(shape, mark, (), loaded=True) for name, (shape, mark) in self._inputs.items()}
        self._hidden = wires.hidden if inputs is not None else {None}  # whose names are wrong, as reported
        self._wires = wires.saves
        self._helps: dict[tuple[str, Mark], str] = {}
        self.shared: Shared = Shared(report, None if around is None else around.shared)

    def save(
        self, name: str, shape: Shape | None, mark: Mark, frames: tuple[Frame, ...], *, of_block: bool = False
    ) -> None:
        """Keep a tensor; one of the same name that nothing has loaded is reported. Raises `Fault` at an input's."""
        if name in self._inputs:
            whose = f"the block `{self.block}`" if self.block else f"the network, {self._inputs[name][1]}"
            message = f"`{name}` is an input of {whose}, which stays what it is"
            raise Fault("duplicate-name", message, mark, help="save the tensor under another name")
        self._check_loaded(name, again=True)
        self._saved[name] = _Saved(shape, mark, frames, loaded=of_block)  # what a block gives may go on as well

    def load(self, name: str, mark: Mark) -> Shape | None:
        """The shape of a saved tensor. Raises `Fault` where none has this name."""
        tensors: Tensors | None = self
        while tensors is not None:
            if name in tensors._saved:
                tensors._saved[name].loaded = True
                return tensors._saved[name].shape
            tensors = tensors.around
        if self._may_hold(name, self.report.count):
            return None
        later = next((at for at in self._marks(name) if (at.line, at.column) > (mark.line, mark.column)), None)
        message = f"`{name}` is loaded before it is saved, at {later}" if later else None
        if (name, mark) not in self._helps:  # in a loop it may be asked for ten thousand times
            self._helps[name, mark] = "a tensor is saved first, then loaded" if later else self._help(name)
        message = message or f"there is no saved tensor `{name}` here"
        raise Fault("tensor-unknown", message, mark, help=self._helps[name, mark])

    def shapes_of_outputs(self) -> tuple[Shape, ...] | None:
        """What a block gives by name; `None` where something is wrong with it."""
        shapes = [one.shape if (one := self._saved.get(name)) else None for name, _ in self._outputs]
        known = tuple(shape for shape in shapes if shape is not None)
        return known if len(known) == len(shapes) else None

    def _may_hold(self, name: str, errors: int) -> bool:
        """Whether what would have saved a tensor, here or around, is wrong itself."""
        around = self.around is not None and self.around._may_hold(name, errors)
        saves = errors > self._errors and bool(self._marks(name))
        return around or saves or not self._hidden.isdisjoint((name, None))

    def _marks(self, name: str) -> list[Mark]:
        """Where a tensor of this name is saved, or may be: a formula can give any name."""
        return self._wires.get(name, []) + self._wires.get(None, [])

    def _help(self, name: str) -> str:
        if not self._saved and self.block:
            return f"the block `{self.block}` loads only what is saved within it: give it the tensor as its input"
        last = list(self._saved)[-MOST_LISTED:]
        shown = f"saved {'so far' if len(self._saved) == len(last) else 'last'}: {join_words(last)}" if last else None
        if marks := self._marks(name):
            return f"its `save` at {marks[0]} was left out by a `when`, or stands in an auxiliary classifier"
        return did_you_mean(name, self._saved) or shown or f"put `- save: {name}` where the tensor is made"

    def close(self) -> None:
        """Report what nothing loads, and what one node alone shares, once the whole body is known to be valid."""
        self.shared.close()
        for name, mark in self._outputs:
            if name in self._saved:
                self._saved[name].loaded = True
            elif not self._may_hold(name, self.report.count):
                message = f"`{name}` is an output of the block `{self.block}`, but nothing in its body saves it"
                help = f"put `- save: {name}` where the tensor is made"
                self.report.add(Fault("tensor-unknown", message, mark, help=help))
        for name in list(self._saved):
            self._check_loaded(name)

    def _check_loaded(self, name: str, *, again: bool = False) -> None:
        saved = self._saved.get(name)
        if saved is None or saved.loaded or not self._hidden.isdisjoint((name, None)):
            return
        if self.report.count == self._errors:
            fault = Fault("tensor-unused", f"`{name}` is saved, but never loaded", saved.mark)
            fault.help = f"leave `save: {name}` out, or load it"
            if again:
                fault.message = f"`{name}` is saved, but never loaded before another tensor is saved under its name"
                fault.help = (
                    "load it before, or save it under another name; in a loop, `when: =last` saves the last one"
                )
            self.report.add(fault, frames=saved.frames)
            self._errors = self.report.count  # others are reported all the same
