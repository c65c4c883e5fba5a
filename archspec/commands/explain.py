"""`archspec explain`: what a primitive, block or error code is."""

from __future__ import annotations

from typing import Any

import click

from archspec.commands._common import plugin_option
from archspec.foundation.arguments import Signature, phrase
from archspec.foundation.errors import CODES, UsageError, did_you_mean
from archspec.language.blocks import Block
from archspec.language.names import ROLES
from archspec.layers.primitive import Primitive


@click.command("explain")
@click.argument("name")
@plugin_option
def command(name: str) -> None:
    """Explain a primitive or block (arguments, shape rule, source, example), or the code of an error."""
    from archspec.language.vocabulary import Vocabulary
    from archspec.plugins import load_installed

    vocabulary = Vocabulary({})
    found = vocabulary.find(name)
    if found is None and name in load_installed():
        found = vocabulary.find(name)
    if found is not None:
        click.echo(_primitive(found) if isinstance(found, Primitive) else _block(found))
    elif name in ROLES:
        click.echo(f"{name}: a role; it stands for the layer that a file's `defaults` give it: defaults: {{{name}: …}}")
    elif name in CODES:
        click.echo(f"error[{name}]: {CODES[name]}")
    else:
        known = [*vocabulary.words(), *CODES]
        hint = did_you_mean(name, known) or "`archspec list` shows the primitives and blocks"
        raise UsageError(f"there is no primitive, block or error code `{name}`", help=hint)


def _arguments(signature: Signature) -> list[str]:
    if not signature.arguments:
        return ["arguments: none"]
    formatter = click.HelpFormatter(width=110)
    rows = []
    for argument in signature.arguments:
        words = [phrase(argument.schema)]
        words.append("required" if argument.required else f"default {_shown(argument.default)}")
        rows.append((argument.name, "; ".join(filter(None, [argument.doc, *words]))))
    with formatter.section("arguments, the first of which may be given alone"):
        formatter.write_dl(rows)
    return [formatter.getvalue().rstrip()]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _primitive(primitive: Primitive) -> str:
    lines = [f"{primitive.name}: {primitive.doc}", ""]
    lines += _arguments(primitive.signature)
    lines += ["", f"shapes: {primitive.rule or 'as its plugin says'}"]
    if primitive.weights:
        lines.append(f"parameters: {', '.join(primitive.weights)}")
    if primitive.source:
        lines.append(f"source: {primitive.source}")
    if primitive.examples:
        lines += ["", "examples:", *(f"  - {example}" for example in primitive.examples)]
    return "\n".join(lines)


def _block(block: Block) -> str:
    from archspec.foundation.shapes import show
    from archspec.spec import from_dict

    lines = [f"{block.name}: {block.doc}", ""]
    lines += _arguments(block.signature)
    plan = from_dict(example_spec(block)).plan
    lines += ["", f"example: - {block.example}"]
    lines.append(f"  {show(plan.input)} → {show(plan.output)}, {plan.params:,} parameters, {plan.macs:,} MACs")
    if block.source:
        lines.append(f"source: {block.source}")
    lines += ["", f"its definition, {block.mark.text.name}:", *(f"  {line}" for line in block.mark.text.lines)]
    return "\n".join(lines)


def example_spec(block: Block) -> dict[str, Any]:
    """A spec whose network is a block's example, as data."""
    from archspec.foundation.source import plain, read

    return {
        "archspec": 1,
        "name": block.name,
        "input": [64, 32, 32],
        "defaults": {"act": "relu", "norm": "batch_norm"},
        "network": [plain(read(block.example.encode(), f"example of {block.name}"))],
    }
