"""A primitive from outside: what it says is checked, and what it does wrong becomes an error that names its plugin.

While its code runs, what it prints goes to standard error: standard output belongs to the command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from archspec.foundation.errors import Fault, UsageError, cut
from archspec.foundation.frozen import freeze
from archspec.foundation.shapes import Shape, show
from archspec.layers.kept import Kept, is_sound
from archspec.layers.primitive import Arguments, Primitive
from archspec.layers.reach import Reach, fits

if TYPE_CHECKING:
    from torch import nn

FILES: dict[str, str] = {}
"""The files of plugins, and what each is called."""
MAX_NUMBER = 2**63
"""No size and no figure of a plugin is as large."""
BATCH = 2
"""How many samples a module is tried with: with one, a batch axis that is lost would not be noticed."""


@contextmanager
def kept_apart() -> Iterator[None]:
    """What a plugin's code prints inside goes to standard error."""
    error = sys.stderr
    try:
        with redirect_stdout(error):
            yield
    finally:
        sys.stderr = error


def describe_error(error: BaseException, function: Any = None) -> str:
    """An error of a plugin's code in a line, with the place in the plugin that it comes from, as far as it is known."""
    place, own = None, None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        place = file, trace.tb_lineno
        own = place if os.path.abspath(file) in FILES else own
        trace = trace.tb_next
    code = getattr(function, "__code__", None)
    if own is None and code is not None:  # it was not even begun, as by wrong parameters
        own = code.co_filename, code.co_firstlineno
    file, line = own or place or ("", None)
    said = error.msg if isinstance(error, SyntaxError) else _said(error)
    if isinstance(error, SyntaxError):
        file, line = error.filename or file, error.lineno
    where = f" ({file}, line {line})" if file and line and "<frozen" not in file else ""
    return f"{type(error).__name__}{f': {said}' if said else ''}{where}"


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # it is the plugin's own
        return "an error that cannot be shown"


def show_value(value: object) -> str:
    """What a plugin gives, as messages show it: neither its length nor its `repr` can be trusted."""
    try:
        return cut(repr(value), 200)
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


def line_of(function: Any) -> str:
    """In which line a plugin's function or class begins, to be put after a message."""
    import inspect

    try:
        return f" (line {inspect.getsourcelines(function)[1]})"
    except (OSError, TypeError, IndexError):
        return ""


class Foreign(Primitive):
    """A plugin's primitive, whose failures become faults; measured on torch's meta device if it has no shape rule."""

    def __init__(self, inner: Primitive, what: str) -> None:
        self.inner = inner
        self.what = what
        self.measures = type(inner).output is Primitive.output
        self.figures: dict[Any, tuple[Shape, dict[str, Shape], int]] = {}
        self.made: WeakSet[nn.Module] = WeakSet()
        names = ("name", "doc", "source", "arguments", "weights", "examples", "example_input")
        for name in (*names, "training_only", "reads_values"):
            setattr(self, name, getattr(inner, name))
        kinds = [one for one in type(inner).__mro__ if one is not Primitive and "fixed_size" in vars(one)]
        setattr(self, "fixed_size", not kinds or bool(inner.fixed_size))  # noqa: B010
        rule = "as its module does, on torch's meta device" if self.measures else ""
        setattr(self, "rule", inner.rule or rule)  # noqa: B010 - a class variable elsewhere

    # --- what is known without the module ---

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if self.measures:
            return self._measure_once(arguments, shape)[0]
        given = self._check_shape(self._call(self.inner.output, arguments, shape), "its output's shape", 1)
        if self.keeps_shape and given != shape:
            raise self._wrong(self.inner.output, f"gives {show(given)} of {show(shape)}, but its rule says `unchanged`")
        return given

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        if self.measures:
            return self._measure_once(arguments, shape)[1]
        given = self._call(self.inner.parameters, arguments, shape)
        if not isinstance(given, dict):
            raise self._wrong(self.inner.parameters, f"gives {show_value(given)} as its parameters")
        return {str(name): self._check_shape(one, f"the shape of `{name}`") for name, one in given.items()}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        if self.measures:
            return self._measure_once(arguments, shape)[2]
        macs = self._call(self.inner.macs, arguments, shape, output)
        if type(macs) is not int or not 0 <= macs < MAX_NUMBER:
            raise self._wrong(self.inner.macs, f"gives {show_value(macs)} as its MACs")
        return macs

    def remark(self, arguments: Arguments, shape: Shape) -> str | None:
        said = self._call_view(self.inner.remark, arguments, shape)
        if said is not None and not isinstance(said, str):
            raise self._unusable(self.inner.remark, f"gives {show_value(said)} as a remark")
        return said

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        held = self._call_view(self.inner.buffers, arguments, shape)
        if type(held) is not int or not 0 <= held < MAX_NUMBER:
            raise self._unusable(self.inner.buffers, f"gives {show_value(held)} as the bytes of its buffers")
        return held

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept | None:
        kept = self._call_view(self.inner.kept, arguments, shape, output)
        if kept is not None and not (isinstance(kept, Kept) and is_sound(kept, MAX_NUMBER)):
            help = "`Kept` has whole numbers that are not negative; `None` says nothing"
            raise self._unusable(self.inner.kept, f"gives {show_value(kept)} as what it keeps", help)
        return kept

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        reach = self._call_view(self.inner.reach, arguments, shape, output)
        if not isinstance(reach, Reach) or not fits(reach, shape, output):
            help = f"`Reach` names axes of its input ({show(shape)})"
            raise self._unusable(self.inner.reach, f"gives {show_value(reach)} as its reach", help)
        return reach

    # --- the module ---

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        try:
            with kept_apart():
                module = self._make_module(arguments, shape)
        except Fault as fault:
            raise UsageError(fault.message, help=fault.help) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            what = f"cannot be built: {describe_error(error, self.inner.module)}"
            raise UsageError(f"{self._named} {what}") from error
        if module in self.made:
            help = "`module` makes a new one each time: a spec says itself what is shared"
            raise self._unusable(self.inner.module, "gives one module several times", help)
        self.made.add(module)
        said = self._call_view(lambda *given: self.parameters(*given), arguments, shape)
        has = _parameters(module)
        if self.measures and has != said:
            what = f"has the parameters {_show_parameters(has)}, and when it was measured {_show_parameters(said)}"
            raise self._unusable(self.inner.module, what, "`module` makes the same module each time")
        if has != said:
            what = f"says that its parameters are {_show_parameters(said)}, but its module has {_show_parameters(has)}"
            raise self._unusable(self.inner.module, what)
        if not self.measures:
            self._check_output(arguments, shape)
        return module

    def _check_output(self, arguments: Arguments, shape: Shape) -> None:
        """Raises `UsageError` where the module gives another shape than was said, or fails.

        It is run where nothing is computed; one that cannot run there is run on zeros.
        """
        import torch

        try:
            with kept_apart(), torch.random.fork_rng(devices=[]), torch.no_grad():
                try:
                    output = self._run("meta", arguments, shape)
                except Exception:
                    output = self._run("cpu", arguments, shape)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            what = f"cannot take its input {show(shape)}: {describe_error(error, self.inner.module)}"
            raise UsageError(f"{self._named} {what}") from error
        said = self.output(arguments, shape)
        if given := self._other_output(output, said):
            what = f"says that {show(shape)} becomes {show(said)}, but its module gives {given}"
            raise self._unusable(self.inner.output, what)

    def _run(self, device: str, arguments: Arguments, shape: Shape) -> Any:
        import torch

        with torch.device(device):
            module = self._make_module(arguments, shape).eval()
            return module(torch.zeros(BATCH, *shape, device=device))

    def _other_output(self, output: Any, said: Shape | None) -> str:
        """What a module gives, in words, where it is no batch of floating-point numbers of this (or any) shape."""
        import torch

        if not isinstance(output, torch.Tensor):
            return _kind(output)
        if output.ndim < 2 or output.shape[0] != BATCH:
            return f"{show(tuple(output.shape)) or 'one number'} for a batch of {BATCH}, whose first axis is to stay"
        if not output.is_floating_point():
            return f"values of the type {str(output.dtype).removeprefix('torch.')}, which no layer takes"
        return show(tuple(output.shape[1:])) if said is not None and tuple(output.shape[1:]) != said else ""

    def _make_module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        """Its module. Raises `Fault` where it gives none, and whatever it raises."""
        from torch import nn

        module: object = self.inner.module(dict(arguments), shape)
        if not isinstance(module, nn.Module):
            help = "`module` returns a `torch.nn.Module`"
            raise self._wrong(self.inner.module, f"gives {_kind(module)} as its module", help)
        if any(isinstance(one, nn.UninitializedParameter) for one in module.parameters()):
            help = "`module` is given the input's shape: make layers of known sizes, without `Lazy…`"
            raise self._wrong(self.inner.module, "has parameters without a size", help)
        return module

    # --- calls ---

    @property
    def _named(self) -> str:
        return f"`{self.name}` of the plugin {self.what}"

    def _wrong(self, function: Any, what: str, help: str | None = None) -> Fault:
        return Fault("plugin-failed", f"{self._named} {what}{line_of(function)}", help=help)

    def _unusable(self, function: Any, what: str, help: str | None = None) -> UsageError:
        return UsageError(f"{self._named} {what}{line_of(function)}", help=help)

    def _call(self, function: Callable[..., Any], arguments: Arguments, *given: Any) -> Any:
        """What a function of the plugin gives, which may do to its arguments what it likes."""
        try:
            with kept_apart():
                return function(dict(arguments), *given)
        except (Fault, KeyboardInterrupt):
            raise
        except BaseException as error:
            what = f"{self._named} failed: {describe_error(error, function)}"
            raise Fault("plugin-failed", what) from error

    def _call_view(self, function: Callable[..., Any], arguments: Arguments, *given: Any) -> Any:
        try:
            return self._call(function, arguments, *given)
        except Fault as fault:
            raise UsageError(fault.message, help=fault.help) from None

    def _check_shape(self, shape: Any, what: str, least: int = 0) -> Shape:
        """A shape that a plugin gives, of some axes at least. Raises `Fault` where it is none."""
        sizes = shape if isinstance(shape, (tuple, list)) else ()
        valid = all(type(size) is int and 0 < size < MAX_NUMBER for size in sizes)
        if valid and sizes is shape and len(sizes) >= least:
            return tuple(sizes)
        function = self.inner.parameters if least == 0 else self.inner.output
        help = "a shape is a tuple of integers from 1, without the batch"
        raise self._wrong(function, f"gives {show_value(shape)} as {what}", help)

    # --- measuring ---

    def _measure_once(self, arguments: Arguments, shape: Shape) -> tuple[Shape, dict[str, Shape], int]:
        key = (freeze(dict(arguments)), shape)
        if key not in self.figures:
            self.figures[key] = self._call(self._measure, arguments, shape)
        return self.figures[key]

    def _measure(self, arguments: Arguments, shape: Shape) -> tuple[Shape, dict[str, Shape], int]:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.device("meta"):
            module = self._make_module(arguments, shape).eval()
        try:
            with FlopCounterMode(display=False) as counter:
                output = module(torch.empty(BATCH, *shape, device="meta"))
        except (RuntimeError, ValueError) as error:
            needs = "say its shape by `output`: it cannot be measured where nothing is computed"
            raise Fault(
                "input-shape",
                f"`{self.name}` cannot take its input {show(shape)}: {error}",
                help=needs if "meta" in str(error) else None,
            ) from None
        if given := self._other_output(output, None):
            raise self._wrong(self.inner.module, f"has a module that gives {given}")
        macs = counter.get_total_flops() // 2 // BATCH
        return self._check_shape(tuple(output.shape[1:]), "its output's shape", 1), _parameters(module), macs


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _parameters(module: nn.Module) -> dict[str, Shape]:
    return {name: tuple(one.shape) for name, one in module.named_parameters() if one.requires_grad}


def _show_parameters(parameters: dict[str, Shape]) -> str:
    return ", ".join(f"{name} {show(shape)}" for name, shape in parameters.items()) or "none"
