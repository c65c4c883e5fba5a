"""`archspec build`: assemble a spec as a torch module."""

from __future__ import annotations

import os
import re
from math import prod
from typing import TYPE_CHECKING

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    format_option,
    lines,
    plugin_option,
    result,
    set_option,
    variant_option,
)
from archspec.errors import SpecError, UsageError
from archspec.plan import Plan

if TYPE_CHECKING:
    from torch import nn

    from archspec.spec import Spec


@click.command("build")
@click.argument("spec")
@variant_option
@set_option
@click.option("--summary", is_flag=True, help="Print torchinfo's table of the module under the plan's totals.")
@click.option("--depth", type=click.IntRange(1), default=4, show_default=True, help="Levels of the summary's table.")
@click.option("--save", type=click.Path(), metavar="FILE", help="Save the initial weights, a state_dict, to FILE.")
@click.option("--no-aux", "aux", flag_value=False, default=True, help="Leave side classifiers out.")
@format_option
@plugin_option
def command(
    spec: str,
    variant: str | None,
    settings: tuple[str, ...],
    summary: bool,
    depth: int,
    save: str | None,
    aux: bool,
    form: str,
) -> None:
    """Assemble SPEC as a torch module."""
    from archspec.spec import load

    if summary and form == "json":
        raise UsageError("--summary is for people: it does not go with --format json")
    try:
        if save is not None:
            _check_target(save)
        loaded = load(spec, variant, set=settings)
        loaded = loaded if aux else loaded.without_aux()
        module = _built(loaded)
    except (SpecError, UsageError) as error:
        if form == "json":
            echo_json([], diagnostics(error))
            raise click.exceptions.Exit(error.exit_status) from None
        raise
    plan = loaded.plan
    if form == "json":
        echo_json([result(plan, loaded.file)], [])
    else:
        click.echo(lines([plan])[0])
        if summary:
            click.echo(_table(module, plan, depth))
    if save is not None:
        _save(module, save)
        if form == "text":
            click.echo(f"initial weights saved to {save}")


def _built(spec: Spec) -> nn.Module:
    """The module, if it is what the plan says. Raises `UsageError` where memory does not hold it."""
    plan = spec.plan
    _check_memory(plan)
    module = spec.build()
    count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    if count != plan.params:
        raise AssertionError(f"the plan has {plan.params:,} parameters, but the module {count:,}")
    return module


def _check_memory(plan: Plan) -> None:
    """Raises `UsageError` where this machine's memory holds neither the weights nor the largest tensors of a sample."""
    largest = max((prod(placed.layer.input) + prod(placed.layer.output) for placed in plan.layers), default=0)
    needed = 4 * (plan.params + largest)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise UsageError(
            f"{plan.title} needs {needed / 1e9:,.0f} GB for its {plan.params:,} parameters and largest tensors; "
            f"this machine has {memory / 1e9:,.0f} GB"
        )


def _table(module: nn.Module, plan: Plan, depth: int) -> str:
    """torchinfo's table, held to the plan: parameters and output shape are equal, or it is our fault."""
    from torchinfo import summary

    table = summary(
        module,
        input_size=(1, *plan.input),
        depth=depth,
        col_names=("input_size", "output_size", "num_params"),
        row_settings=("var_names",),
        mode="eval",
        verbose=0,
    )
    output = tuple(table.summary_list[0].output_size[1:])
    if table.trainable_params != plan.params or output != plan.output:
        raise AssertionError(
            f"the plan says {plan.params:,} parameters and output {plan.output}, "
            f"torchinfo {table.trainable_params:,} and {output}"
        )
    # torchinfo names its units by their Python names
    return re.sub(r"\(Units\.([A-Z])[A-Z]+\)", r"(\1)", str(table))


def _check_target(path: str) -> None:
    """Raises `UsageError` where a file could not be made, before any work is done for it."""
    if os.path.exists(path):
        raise UsageError(f"{path} exists already\n  help: remove it, or save under another name")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(f"cannot write {path}: {folder} is not a folder that can be written to")


def _save(module: nn.Module, path: str) -> None:
    """Write the weights beside their target, then give them its name: there is never half a file of that name."""
    import torch

    beside = f"{path}.part"
    try:
        torch.save(module.state_dict(), beside)
        os.replace(beside, path)
    except (OSError, RuntimeError) as error:
        if os.path.exists(beside):
            os.remove(beside)
        raise UsageError(f"cannot write {path}: {error}") from None
