"""Primitives from outside: a Python file given by `--plugin`, and packages that are installed.

A plugin is code that its user trusts, as an import is; a spec can never name one. What it says is checked
against the contract of a primitive, and what it does wrong becomes an error that names it.
"""

from __future__ import annotations

import os
import sys
from contextlib import chdir
from functools import cache
from types import ModuleType

from archspec.foundation.errors import Fault, Mark, Text, UsageError, escape_line
from archspec.language.finder import explain_unreadable
from archspec.language.names import check_block
from archspec.layers.contract import check_class, check_instance
from archspec.layers.foreign import FILES, Foreign, describe_error, kept_apart, line_of
from archspec.layers.primitive import Primitive
from archspec.layers.registry import defined, primitives, register

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
    FILES[os.path.abspath(path)] = path
    try:
        with kept_apart(), chdir("."):  # wherever it goes
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(f"the plugin {path} cannot be loaded: {describe_error(error)}") from error
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
            with kept_apart():
                module = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UsageError(f"the plugin {what} cannot be loaded: {describe_error(error)}") from error
        if not isinstance(module, ModuleType):
            raise UsageError(f"the plugin {what} is no module", help="its entry point names a module, without `:`")
        names += _register(module, what)
    return tuple(names)


def fault_of_plugin(error: BaseException) -> str | None:
    """What a plugin did wrong, where an error comes from its code, when a network runs say; `None` for others."""
    seen: list[BaseException] = []
    while error not in seen:
        seen.append(error)
        trace = error.__traceback__
        while trace is not None:
            what = FILES.get(os.path.abspath(trace.tb_frame.f_code.co_filename))
            if what is not None:
                return f"the plugin {what} failed: {describe_error(error)}"
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
    return sorted(one.name for one in primitives().values() if isinstance(one, Foreign) and one.figures)


def _register(module: ModuleType, what: str) -> list[str]:
    """Register a plugin's primitives, each checked against the contract. Raises `UsageError`."""
    found: dict[str, Primitive] = {}
    if module.__file__:
        FILES[os.path.abspath(module.__file__)] = what
    try:
        with kept_apart():
            classes = defined(module)
            for kind in classes:
                check_class(kind, [one for one in classes if one is not kind])
            register(found, module)
            for primitive in found.values():
                _check_name(primitive, what)
                check_instance(primitive)
            held = {name: Foreign(primitive, what) for name, primitive in found.items()}
    except Fault as fault:
        raise UsageError(f"the plugin {what} cannot be used: {fault.message}", help=fault.help) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UsageError(f"the plugin {what} cannot be used: {describe_error(error)}") from error
    if not held:
        help = "define a class derived from `archspec.primitive.Primitive`, its name without a leading `_`"
        raise UsageError(f"the plugin {what} defines no primitive", help=help)
    primitives().update(held)
    return list(held)


def _check_name(primitive: Primitive, what: str) -> None:
    """Raises `Fault` where a primitive's name is none, or is taken."""
    from archspec.language.vocabulary import library_names

    mark = Mark(Text(what, ()), 1, 1)
    taken = "a block of the library" if primitive.name in library_names() else None
    taken = "a primitive" if primitive.name in primitives() else taken
    try:
        check_block(primitive.name, mark, taken, "primitive")
    except Fault as fault:
        raise Fault(fault.code, f"{fault.message}{line_of(type(primitive))}", help=fault.help) from None
