"""What several commands share: their options, and how specs and errors are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click

from archspec.foundation.errors import Diagnostic, Note, SpecError, UsageError, escape_line
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import show
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan

Function = Callable[..., Any]

set_option: Callable[[Function], Function] = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Give a variable another value, or anything else by its dotted path (train.epochs=3). May be repeated.",
)
variant_option: Callable[[Function], Function] = click.option(
    "--variant",
    metavar="NAME",
    multiple=True,
    callback=lambda _context, _option, names: _only(names),
    help="A variant of the spec.",
)
variants_option: Callable[[Function], Function] = click.option(
    "--variant", "variants", metavar="NAME", multiple=True, help="A variant of the spec. May be repeated."
)
plugin_option: Callable[[Function], Function] = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    callback=lambda _context, _option, files: _load_plugins(files),
    is_eager=True,
    expose_value=False,
    help="A Python file that defines more primitives. It is run. May be repeated.",
)
format_option: Callable[[Function], Function] = click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="For people, or for programs.",
)


def _only(names: Sequence[str]) -> str | None:
    """The one variant that was named; of several none would be ignored silently."""
    if len(names) > 1:
        raise click.BadParameter(f"one variant is built, not {len(names)}.")
    return names[0] if names else None


def split_variant(target: str) -> tuple[str, str | None]:
    """`SPEC@VARIANT` as a spec and its variant; a file of such a name, and git's `HEAD@{1}:FILE`, name none."""
    from archspec.language.finder import SUFFIXES

    name, at, variant = target.rpartition("@")
    names_one = name and variant and ":" not in variant and not variant.endswith(SUFFIXES)
    return (name, variant) if at and names_one and not os.path.exists(target) else (target, None)


def _load_plugins(files: Sequence[str]) -> None:
    if files:
        from archspec.plugins import load_plugin

        for file in files:
            load_plugin(file)


def echo_notes(notes: Iterable[Note]) -> None:
    """Say what is no error, once for each place; on standard error, so that it is in no program's way."""
    for note in dict.fromkeys(notes):
        click.echo(note.render(), err=True)


def note_measured() -> None:
    """Say that torch was loaded, where a plugin's primitives give no shape rule."""
    from archspec.plugins import measured

    if measured():
        from archspec.foundation.errors import join_words

        click.echo(
            f"note: torch was loaded to measure {join_words(measured())}, which no shape rule is given for",
            err=True,
        )


def result(plan: Plan, spec: str) -> dict[str, Any]:
    """A plan's figures, as `--format json` gives them."""
    return {
        "spec": spec,
        "name": plan.name,
        "variant": plan.variant,
        "input": list(plan.input),
        "inputs": {name: list(shape) for name, shape in plan.inputs.items()},
        "output": list(plan.output),
        "outputs": {name: list(shape) for name, shape in plan.outputs.items()},
        "aux": {name: list(one.shape) for name, one in plan.aux.items()},
        "params": plan.params,
        "macs": plan.macs,
        "layers": plan.root.layers,
    }


def lines(plans: Sequence[Plan]) -> list[str]:
    """Plans as aligned lines: name, variant, input → output, parameters, MACs."""
    rows = [
        (
            escape_line(plan.name),
            escape_line(plan.variant or "-"),
            f"{show_inputs(plan.takes)} → {show(plan.output)}",
            f"{plan.params:,} parameters",
            show_macs(plan.macs),
        )
        for plan in plans
    ]
    return aligned(rows, "<<<>>")


def aligned(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Rows as lines of equal columns; `sides` has `<` for one of text, `>` for one of figures."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{s}{w}}" for s, cell, w in zip(sides, row, widths, strict=True)).rstrip() for row in rows]


def diagnostics(error: SpecError | UsageError) -> list[Diagnostic]:
    """What an error says, one diagnostic each."""
    if isinstance(error, SpecError):
        return list(error.diagnostics)
    return [Diagnostic("usage", error.message, help=error.help)]


def echo_json(results: list[dict[str, Any]], errors: Sequence[Diagnostic]) -> None:
    click.echo(json.dumps({"results": results, "errors": [error.to_dict() for error in errors]}, indent=2))
