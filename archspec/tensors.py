"""Saved tensors: what `save` keeps and `load` takes up again, within one network or block body."""

from __future__ import annotations

from dataclasses import dataclass

from archspec.errors import Fault, Frame, Mark, Report, did_you_mean, listed
from archspec.nodes import Aux, For, Merge, Sequence, Step, Wire
from archspec.shapes import Shape


@dataclass
class _Saved:
    shape: Shape | None  # `None`: not known, since something before it is wrong
    mark: Mark
    frames: tuple[Frame, ...]
    loaded: bool = False


class Tensors:
    """The tensors that one body has saved so far. A side classifier's body also sees those around it."""

    def __init__(self, body: Step, report: Report, *, around: Tensors | None = None, block: str = "") -> None:
        self.body = body
        self.report = report
        self.around = around
        self.block = block
        self._errors = report.count
        self._saved: dict[str, _Saved] = {}

    def save(self, name: str, shape: Shape | None, mark: Mark, frames: tuple[Frame, ...]) -> None:
        """Keep a tensor; one of the same name that nothing has loaded is reported."""
        self._check_loaded(name)
        self._saved[name] = _Saved(shape, mark, frames)

    def load(self, name: str, mark: Mark) -> Shape | None:
        """The shape of a saved tensor. Raises `Fault` where none has this name."""
        tensors: Tensors | None = self
        while tensors is not None:
            if name in tensors._saved:
                tensors._saved[name].loaded = True
                return tensors._saved[name].shape
            tensors = tensors.around
        saves = _saves(self.body, name)
        if saves and self.report.count > self._errors:  # what would have saved it may be wrong itself
            return None
        message = f"there is no saved tensor `{name}` here"
        later = next((at for at in saves if (at.line, at.column) > (mark.line, mark.column)), None)
        help = did_you_mean(name, self._saved) or (f"saved so far: {listed(self._saved)}" if self._saved else None)
        if not self._saved and self.block:
            help = f"the block `{self.block}` loads only what is saved within it: give it the tensor as its input"
        if later:
            message, help = f"`{name}` is loaded before it is saved, at {later}", "a tensor is saved first, then loaded"
        elif saves:
            help = f"its `save` at {saves[0]} was left out by a `when`, or stands in a side classifier"
        raise Fault("tensor-unknown", message, mark, help=help or f"put `- save: {name}` where the tensor is made")

    def close(self) -> None:
        """Report what was saved and never loaded, once the whole body is known to be sound."""
        for name in list(self._saved):
            self._check_loaded(name)

    def _check_loaded(self, name: str) -> None:
        saved = self._saved.get(name)
        if saved is not None and not saved.loaded and self.report.count == self._errors:
            fault = Fault("tensor-unused", f"`{name}` is saved, but never loaded", saved.mark)
            fault.help = f"leave `save: {name}` out, or load it"
            self.report.add(fault, frames=saved.frames)
            self._errors = self.report.count  # others are reported all the same


def _saves(step: Step, name: str) -> list[Mark]:
    """Where a tensor of this name is saved in a body, or may be: a formula can give any name."""
    body = step.body
    if isinstance(body, Wire):
        return [body.mark] if body.kind == "save" and (body.name.is_formula or body.name.data == name) else []
    inner: tuple[Step, ...] = ()
    if isinstance(body, Sequence):
        inner = body.steps
    elif isinstance(body, Merge):
        inner = body.branches
    elif isinstance(body, (For, Aux)):
        inner = (body.body,)
    return [mark for one in inner for mark in _saves(one, name)]
