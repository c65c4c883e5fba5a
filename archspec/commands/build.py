"""`archspec build`: assemble a spec as a torch module."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING

import click

from archspec.commands._common import (
    diagnostics,
    echo_json,
    echo_notes,
    format_option,
    lines,
    plugin_option,
    result,
    set_option,
    variant_option,
)
from archspec.foundation.errors import SpecError, UsageError, escape_line
from archspec.plan.inputs import require_one_input
from archspec.plan.plan import Plan

if TYPE_CHECKING:
    from torch import nn

    from archspec.spec import Spec
    from archspec.weights import Loaded


@click.command("build")
@click.argument("spec")
@variant_option
@set_option
@click.option("--summary", is_flag=True, help="Print the network's tree with its figures, as `archspec summary` does.")
@click.option("--torchinfo", is_flag=True, help="Print torchinfo's table of the module.")
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Show at most N levels of these.")
@click.option("--no-aux", "aux", flag_value=False, default=True, help="Leave auxiliary classifiers out.")
@click.option(
    "--weights",
    "origin",
    metavar="SOURCE",
    help="Load weights: those of a FILE (.safetensors, or written by torch.save), or torchvision's published ones, "
    "downloaded where they are not yet (torchvision:resnet50, torchvision:resnet50.IMAGENET1K_V1).",
)
@click.option("--partial", is_flag=True, help="Load the weights that fit, and say which do not.")
@click.option(
    "--adapt",
    is_flag=True,
    help="Convert a file's weights to another input: interpolate position embeddings and biases, repeat or sum the "
    "first convolution's channels.",
)
@click.option("--save", type=click.Path(), metavar="FILE", help="Save the weights, a state_dict, to FILE.")
@format_option
@plugin_option
def command(
    spec: str,
    variant: str | None,
    settings: tuple[str, ...],
    summary: bool,
    torchinfo: bool,
    depth: int | None,
    origin: str | None,
    partial: bool,
    adapt: bool,
    save: str | None,
    aux: bool,
    output_format: str,
) -> None:
    """Assemble SPEC as a torch module."""
    from archspec.spec import load

    for option, given in (("--summary", summary), ("--torchinfo", torchinfo)):
        if given and output_format == "json":
            raise UsageError(f"{option} is for people: it does not go with --format json")
    for option, given in (("--partial", partial), ("--adapt", adapt)):
        if given and origin is None:
            raise UsageError(f"{option} says how weights are loaded: it needs --weights")
    try:
        if save is not None:
            _check_target(save)
        loaded = load(spec, variant, set=settings)
        echo_notes(loaded.notes)
        loaded = loaded if aux else loaded.without_aux()
        module = _build_module(loaded)
        weights = None
        if origin is not None:
            from archspec.weights.origins import TORCHVISION, load_from

            if origin.startswith(TORCHVISION):
                cure = "load a file whose tensors have the names of this network's: --weights FILE"
                require_one_input(loaded.plan, f"{TORCHVISION}NAME loads weights into", cure)
            weights = load_from(origin, module, loaded.plan.input, partial=partial, adapt=adapt)
        table = _torchinfo(module, loaded.plan, 4 if depth is None else depth) if torchinfo else None
        saved, note = (None, None) if save is None else _save(module, save, loaded.plan, origin, weights)
    except (SpecError, UsageError) as error:
        if output_format == "json":
            echo_json([], diagnostics(error))
            raise click.exceptions.Exit(error.exit_status) from None
        raise
    plan = loaded.plan
    if output_format == "json":
        echo_json([result(plan, loaded.file) | {"weights": None if weights is None else weights.to_dict()}], [])
        if note is not None:
            click.echo(f"note: {note}", err=True)
        return
    if summary:
        from archspec.commands._summary import as_text

        click.echo(as_text(plan, depth=depth), nl=False)
    else:
        click.echo(lines([plan])[0])
    for text in (weights and weights.render(), table, saved, note and f"  note: {note}"):
        if text:
            click.echo(text)


def _save(
    module: nn.Module, path: str, plan: Plan, origin: str | None, loaded: Loaded | None
) -> tuple[str, str | None]:
    """Write the weights, with what is known of their images; what was done, and what was left out, in words."""
    from archspec.weights import save
    from archspec.weights.origins import metadata_of

    # what torchvision says of its weights is published, and not lost
    lasting = path.endswith(".safetensors") or (origin is not None and os.path.exists(origin))
    known = metadata_of(origin) if origin is not None and loaded is not None and lasting else {}
    lengths = _lengths(plan)
    whole = loaded is not None and all(one.reason == "unknown" for one in loaded.skipped)
    fitting = {
        name: json.dumps(value, ensure_ascii=False)
        for name, value in known.items()
        if whole and len(value) == lengths.get(name, len(value))
    }
    kept = fitting if path.endswith(".safetensors") else {}
    save(module, path, kept)
    said = f"{'initial weights' if loaded is None else 'weights'} saved to {escape_line(path)}"
    said += f", with {', '.join(kept)} as metadata" if kept else ""
    if lost := [name for name in known if name not in kept]:
        why = "which .safetensors files can hold" if set(lost) <= fitting.keys() else "which are another network's"
        return said, f"without {', '.join(lost)} of {escape_line(str(origin))}, {why}"
    return said, None


def _lengths(plan: Plan) -> dict[str, int]:
    """How many numbers or names a network has of what is known of its samples."""
    channels, rows = plan.input[0], 0
    if len(plan.takes) > 1:
        from archspec.recipe.columns import image_among

        rows = sum(shape[0] for shape in plan.inputs.values() if len(shape) == 1)
        image = image_among(plan.inputs)
        channels = plan.inputs[image][0] if image else rows
    return {"mean": channels, "std": channels, "row_mean": rows, "row_std": rows, "classes": plan.output[0]}


def _build_module(spec: Spec) -> nn.Module:
    """The module, if it is what the plan says. Raises `UsageError` where memory does not hold it."""
    plan = spec.plan
    _check_memory(plan)
    module = spec.build()
    count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    if count != plan.params:
        raise AssertionError(f"the plan has {plan.params:,} parameters, but the module {count:,}")
    return module


def _check_memory(plan: Plan) -> None:
    """Raises `UsageError` where memory holds neither the weights, buffers nor the largest tensors of a sample."""
    from archspec.layers.registry import primitives

    largest = max((prod(node.layer.input) + prod(node.layer.output) for node in plan.layers), default=0)
    layers = [node.layer for node in plan.layers if node.module == node.path]
    buffers = [primitives()[one.primitive].buffers(one.arguments, one.input) for one in layers]
    # a buffer is made of others of its size, which are let go
    needed = 4 * (plan.params + largest) + sum(buffers) + max(buffers, default=0)
    memory, whose = _memory()
    if needed > memory:
        what = f"{plan.params:,} parameters{', buffers' * any(buffers)} and largest tensors"
        raise UsageError(f"{plan.title} needs {needed / 1e9:,.0f} GB for its {what}; {whose} {memory / 1e9:,.0f} GB")


def _memory() -> tuple[int, str]:
    """The bytes of memory that this process may have, and who says so."""
    import resource

    found = [(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "this machine has")]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        found.append((soft, "this process may have"))
    for file in _memory_limits():
        try:
            with open(file, encoding="ascii") as text:
                found.append((int(text.read()), "this process and those beside it may have"))
        except (OSError, ValueError):  # there is none, or it is `max`
            continue
    return min(found)


def _memory_limits(root: str = "/sys/fs/cgroup", groups: str = "/proc/self/cgroup") -> Iterator[str]:
    """The files that may limit the memory of this process' control groups, version 2 and 1, and of those above them."""
    try:
        with open(groups, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        folder, name = (root, "memory.max") if not kinds else (f"{root}/memory", "memory.limit_in_bytes")
        steps = [step for step in path.split("/") if step]
        for count in range(len(steps), -1, -1):
            yield "/".join([folder, *steps[:count], name])


def _torchinfo(module: nn.Module, plan: Plan, depth: int) -> str:
    """torchinfo's table, checked against the plan: parameters and output shape are equal, or it is our fault."""
    from torchinfo import summary

    table = summary(
        module,
        input_size=[(1, *shape) for shape in plan.inputs.values()],
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
    if path in ("", "-"):
        raise UsageError("weights are saved to a file", help="give its path: --save net.safetensors")
    if os.path.exists(path):
        raise UsageError(f"{escape_line(path)} exists already", help="remove it, or save under another name")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise UsageError(
            f"cannot write {escape_line(path)}: {escape_line(folder)} is not a folder that can be written to"
        )
