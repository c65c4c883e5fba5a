"""Primitives from outside: a Python file given by `--plugin`, and packages that are installed.

A plugin is code that its user trusts, as an import is; a spec can never name one. What it says is checked
against the contract of a primitive, and what it does wrong becomes an error that names it.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from archspec.foundation.arguments import Argument, fault_in
from archspec.foundation.errors import Fault, Mark, Text, UsageError, cut, escape_line
from archspec.foundation.frozen import freeze
from archspec.foundation.shapes import Shape, show
from archspec.language.finder import explain_unreadable
from archspec.language.names import check_block
from archspec.layers.kept import Kept, is_sound
from archspec.layers.primitive import Arguments, Primitive
from archspec.layers.reach import Reach, fits
from archspec.layers.registry import primitives, register

if TYPE_CHECKING:
    from torch import nn

__all__ = ["GROUP", "load_installed", "load_plugin", "measured"]

GROUP = "archspec.primitives"
"""The entry-point group in which a package names modules that define primitives."""


def load_plugin(path: str) -> list[str]:
    """Run a Python file and register the primitives that it defines, as `--plugin` does.

    Specs that are loaded afterwards can use them. Each must keep the contract of `archspec.primitive.Primitive`.

    Args:
        path: The file, which ends in `.py`. It is run: load only what you trust.

    Returns:
        The names of the new primitives.

    Raises:
        UsageError: There is no such file, it fails, it defines no primitive, or one breaks the contract or has a name
            that is taken.

    Example:
        ```python
        load_plugin("layers.py")  # ["power_mean_pool", "glu"]
        spec = archspec.load("pooled.yaml")
        ```
    """
    from importlib.util import module_from_spec, spec_from_file_location

    if not os.path.isfile(path):
        raise UsageError(f"cannot read the plugin {escape_line(path)}: {explain_unreadable(path)}")
    spec = spec_from_file_location(f"archspec_plugin_{os.path.splitext(os.path.basename(path))[0]}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"cannot read the plugin {path}: it is no Python file", help="its name ends in .py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # so that what it defines can be pickled
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UsageError(f"the plugin {path} cannot be loaded: {_describe_error(error)}") from error
    return _register(module, path)


@cache
def load_installed() -> tuple[str, ...]:
    """Register the primitives of installed packages, those with an entry point of the group `archspec.primitives`.

    It need not be called: archspec does so by itself where a spec is wrong without them. A second call gives the same.

    Returns:
        The names of their primitives.

    Raises:
        UsageError: A package's module cannot be imported, defines no primitive, or one breaks the contract.

    Example:
        ```python
        load_installed()  # ("my_layer",)
        ```
    """
    from importlib.metadata import entry_points

    names: list[str] = []
    for point in entry_points(group=GROUP):
        what = f"`{point.value}` of {point.dist.name if point.dist else 'a package'}"
        try:
            module = point.load()
        except (Exception, SystemExit) as error:
            raise UsageError(f"the plugin {what} cannot be loaded: {_describe_error(error)}") from error
        if not isinstance(module, ModuleType):
            raise UsageError(f"the plugin {what} is no module", help="its entry point names a module, without `:`")
        names += _register(module, what)
    return tuple(names)


_loaded: dict[str, str] = {}
"""The files of plugins, and what each is called."""


def fault_of_plugin(error: BaseException) -> str | None:
    """What a plugin did wrong, where an error comes from its code, when a network runs say; `None` for others."""
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        trace = error.__traceback__
        while trace is not None:
            what = _loaded.get(os.path.abspath(trace.tb_frame.f_code.co_filename))
            if what is not None:
                return f"the plugin {what} failed: {_describe_error(error)}"
            trace = trace.tb_next
        error = error.__cause__ or error.__context__ or error
    return None


def measured() -> list[str]:
    """The names, in order, of the primitives that were run on torch's `meta` device since they give no shape rule.

    Example:
        ```python
        measured()  # ["glu"]
        ```
    """
    return sorted(one.name for one in primitives().values() if isinstance(one, _Foreign) and one.figures)


def _register(module: ModuleType, what: str) -> list[str]:
    """Register a plugin's primitives, each checked against the contract. Raises `UsageError`."""
    found: dict[str, Primitive] = {}
    if module.__file__:
        _loaded[os.path.abspath(module.__file__)] = what
    try:
        register(found, module)
        new = list(found)
        for name in new:
            _check(found[name], what)
        held = {name: _Foreign(found[name], what) for name in new}
    except Fault as fault:
        raise UsageError(f"the plugin {what} cannot be used: {fault.message}") from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"the plugin {what} cannot be used: {_describe_error(error)}") from error
    if not new:
        help = "define a class derived from `archspec.primitive.Primitive`, its name without a leading `_`"
        raise UsageError(f"the plugin {what} defines no primitive", help=help)
    primitives().update(held)
    return new


def _check(primitive: Primitive, what: str) -> None:
    """Hold a primitive to the contract. Raises `Fault`."""
    from archspec.language.vocabulary import library_names

    mark = Mark(Text(what, ()), 1, 1)
    taken = "a block of the library" if primitive.name in library_names() else None
    taken = "a primitive" if primitive.name in primitives() else taken
    check_block(primitive.name, mark, taken, "primitive")
    if not isinstance(primitive.doc, str) or not primitive.doc:
        raise Fault("type-mismatch", f"`{primitive.name}` needs a `doc`: what it does, in a line")
    for name in ("weights", "examples"):
        given = getattr(primitive, name)
        if not isinstance(given, (tuple, list)) or not all(isinstance(one, str) for one in given):
            raise Fault("type-mismatch", f"the `{name}` of `{primitive.name}` are not all texts")
    for argument in primitive.arguments:
        if not isinstance(argument, Argument):
            raise Fault("type-mismatch", f"the `arguments` of `{primitive.name}` are not all `Argument`s")
        fault = None if argument.required else fault_in(argument.default, argument.schema, f"`{argument.name}`")
        if fault:
            raise Fault(fault.code, f"the default of `{argument.name}` of `{primitive.name}`: {fault.message}")


def _describe_error(error: BaseException) -> str:
    """An error of a plugin's code in a line, with the place that it comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})" if trace is not None else ""
    if isinstance(error, SyntaxError):
        place = f" ({error.filename}, line {error.lineno})"
        return f"SyntaxError: {error.msg}{place}"
    try:
        said = str(error)
    except Exception:  # it is the plugin's own
        said = "an error that cannot be shown"
    return f"{type(error).__name__}: {said}{'' if '<frozen' in place else place}"


def _show_value(value: object) -> str:
    """What a plugin gives, as messages show it: neither its length nor its `repr` can be trusted."""
    try:
        return cut(repr(value), 200)
    except Exception:
        return f"a {type(value).__name__} that cannot be shown"


MAX_NUMBER = 2**63
"""No size and no figure of a plugin is as large."""


class _Foreign(Primitive):
    """A plugin's primitive, whose failures become faults; measured on torch's meta device if it has no shape rule."""

    def __init__(self, inner: Primitive, what: str) -> None:
        self.inner = inner
        self.what = what
        self.measures = type(inner).output is Primitive.output
        self.figures: dict[Any, tuple[Shape, dict[str, Shape], int]] = {}
        names = ("name", "doc", "source", "arguments", "weights", "examples", "example_input")
        for name in (*names, "training_only", "reads_values"):
            setattr(self, name, getattr(inner, name))
        kinds = [one for one in type(inner).__mro__ if one is not Primitive and "fixed_size" in vars(one)]
        setattr(self, "fixed_size", not kinds or bool(inner.fixed_size))  # noqa: B010
        rule = "as its module does, on torch's meta device" if self.measures else ""
        setattr(self, "rule", inner.rule or rule)  # noqa: B010 - a class variable elsewhere

    def output(self, arguments: Arguments, shape: Shape) -> Shape:
        if self.measures:
            return self._measure_once(arguments, shape)[0]
        return self._check_shape(self._call_plugin(self.inner.output, arguments, shape), "its output's shape", 1)

    def parameters(self, arguments: Arguments, shape: Shape) -> dict[str, Shape]:
        if self.measures:
            return self._measure_once(arguments, shape)[1]
        given = self._call_plugin(self.inner.parameters, arguments, shape)
        if not isinstance(given, dict):
            message = f"`{self.name}` of the plugin {self.what} gives {_show_value(given)} as its parameters"
            raise Fault("plugin-failed", message)
        return {str(name): self._check_shape(one, f"the shape of `{name}`") for name, one in given.items()}

    def macs(self, arguments: Arguments, shape: Shape, output: Shape) -> int:
        if self.measures:
            return self._measure_once(arguments, shape)[2]
        macs = self._call_plugin(self.inner.macs, arguments, shape, output)
        if type(macs) is not int or not 0 <= macs < MAX_NUMBER:
            raise Fault(
                "plugin-failed", f"`{self.name}` of the plugin {self.what} gives {_show_value(macs)} as its MACs"
            )
        return macs

    def buffers(self, arguments: Arguments, shape: Shape) -> int:
        try:
            held = self._call_plugin(self.inner.buffers, arguments, shape)
        except Fault as fault:
            raise UsageError(fault.message) from None
        if type(held) is not int or not 0 <= held < MAX_NUMBER:
            message = f"`{self.name}` of the plugin {self.what} gives {_show_value(held)} as the bytes of its buffers"
            raise UsageError(message)
        return held

    def kept(self, arguments: Arguments, shape: Shape, output: Shape) -> Kept | None:
        kept = self._call_view(self.inner.kept, arguments, shape, output)
        if kept is not None and not (isinstance(kept, Kept) and is_sound(kept, MAX_NUMBER)):
            message = f"`{self.name}` of the plugin {self.what} gives {_show_value(kept)} as what it keeps"
            raise UsageError(message, help="`Kept` has whole numbers that are not negative; `None` says nothing")
        return kept

    def reach(self, arguments: Arguments, shape: Shape, output: Shape) -> Reach:
        reach = self._call_view(self.inner.reach, arguments, shape, output)
        if not isinstance(reach, Reach) or not fits(reach, shape, output):
            message = f"`{self.name}` of the plugin {self.what} gives {_show_value(reach)} as its reach"
            raise UsageError(message, help=f"`Reach` names axes of its input ({show(shape)})")
        return reach

    def _call_view(self, method: Any, *arguments: Any) -> Any:
        try:
            return self._call_plugin(method, *arguments)
        except Fault as fault:
            raise UsageError(fault.message) from None

    def module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        try:
            module = self._make_module(arguments, shape)
        except Fault as fault:
            raise UsageError(fault.message) from None
        except (Exception, SystemExit) as error:
            message = f"`{self.name}` of the plugin {self.what} cannot be built: {_describe_error(error)}"
            raise UsageError(message) from error
        said = self.parameters(arguments, shape) if not self.measures else {}
        has = {name: tuple(one.shape) for name, one in module.named_parameters() if one.requires_grad}
        if not self.measures and has != said:
            message = f"`{self.name}` of the plugin {self.what} says that its parameters are {_show_parameters(said)}"
            raise UsageError(f"{message}, but its module has {_show_parameters(has)}")
        if not self.measures:
            self._check_output(arguments, shape)
        return module

    def _check_output(self, arguments: Arguments, shape: Shape) -> None:
        """Raises `UsageError` where the module gives another shape than was said; as far as it runs on `meta`."""
        import torch

        with torch.device("meta"):
            try:
                output = self._make_module(arguments, shape).eval()(torch.empty(1, *shape, device="meta"))
            except Exception:
                return
        said = self.output(arguments, shape)
        given = f"a {type(output).__name__}"
        if isinstance(output, torch.Tensor):
            if tuple(output.shape[1:]) == said:
                return
            given = show(tuple(output.shape[1:]))
        message = f"`{self.name}` of the plugin {self.what} says that {show(shape)} becomes {show(said)}"
        raise UsageError(f"{message}, but its module gives {given}")

    def _make_module(self, arguments: Arguments, shape: Shape) -> nn.Module:
        """Its module. Raises `Fault` where it gives none, and whatever it raises."""
        from torch import nn

        module: object = self.inner.module(arguments, shape)
        if isinstance(module, nn.Module):
            return module
        message = f"`{self.name}` of the plugin {self.what} gives a {type(module).__name__} as its module"
        raise Fault("plugin-failed", message, help="`module` returns a `torch.nn.Module`")

    def _call_plugin(self, function: Any, *given: Any) -> Any:
        try:
            return function(*given)
        except Fault:
            raise
        except (Exception, SystemExit) as error:
            message = f"`{self.name}` of the plugin {self.what} failed: {_describe_error(error)}"
            raise Fault("plugin-failed", message) from error

    def _check_shape(self, shape: Any, what: str, least: int = 0) -> Shape:
        """A shape that a plugin gives, of some axes at least. Raises `Fault` where it is none."""
        sizes = shape if isinstance(shape, (tuple, list)) else ()
        valid = all(type(size) is int and 0 < size < MAX_NUMBER for size in sizes)
        if valid and sizes is shape and len(sizes) >= least:
            return tuple(sizes)
        message = f"`{self.name}` of the plugin {self.what} gives {_show_value(shape)} as {what}"
        raise Fault("plugin-failed", message, help="a shape is a tuple of integers from 1, without the batch")

    def _measure_once(self, arguments: Arguments, shape: Shape) -> tuple[Shape, dict[str, Shape], int]:
        key = (freeze(dict(arguments)), shape)
        if key not in self.figures:
            self.figures[key] = self._call_plugin(self._measure, arguments, shape)
        return self.figures[key]

    def _measure(self, arguments: Arguments, shape: Shape) -> tuple[Shape, dict[str, Shape], int]:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        with torch.device("meta"):
            module = self._make_module(arguments, shape).eval()
        try:
            with FlopCounterMode(display=False) as counter:
                output = module(torch.empty(1, *shape, device="meta"))
        except (RuntimeError, ValueError) as error:
            raise Fault("input-shape", f"`{self.name}` cannot take its input {show(shape)}: {error}") from None
        parameters = {name: tuple(one.shape) for name, one in module.named_parameters() if one.requires_grad}
        given = tuple(output.shape[1:]) if isinstance(output, torch.Tensor) else output
        return self._check_shape(given, "its output's shape", 1), parameters, counter.get_total_flops() // 2


def _show_parameters(parameters: dict[str, Shape]) -> str:
    return ", ".join(f"{name} {show(shape)}" for name, shape in parameters.items()) or "none"
