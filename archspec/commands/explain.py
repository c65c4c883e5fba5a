"""`archspec explain`: what a word means, be it of the language, of recipes, or of one spec's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from archspec.commands._common import plugin_option
from archspec.foundation.errors import MAX_WORD, UsageError, cut
from archspec.foundation.spelling import did_you_mean
from archspec.language.blocks import Block
from archspec.layers.primitive import Primitive


@click.command("explain")
@click.argument("word")
@click.option("--in", "spec", metavar="SPEC", help="Explain a block of this spec's own: its file, or its bundled name.")
@plugin_option
def command(word: str, spec: str | None) -> None:
    """Explain a WORD: of specs or recipes, a layer, block, task, data set or metric, or the code of an error."""
    click.echo(_of_the_spec(word, spec) if spec is not None else "\n\n".join(_explain(word)))


def _explain(word: str) -> list[str]:
    """Each meaning of a word. Raises `UsageError` where it has none."""
    from archspec.language.glossary import LOSS, meanings, words
    from archspec.language.vocabulary import Vocabulary
    from archspec.plugins import load_installed

    vocabulary = Vocabulary({})
    layer, others = vocabulary.find(word), meanings(word)
    if layer is None and not others:
        from archspec.recipe.added import load_added

        layer = vocabulary.find(word) if word in load_installed() else None
        others = meanings(word) if load_added() else []
    found = [] if layer is None else [_primitive(layer) if isinstance(layer, Primitive) else _block(layer)]
    from archspec.commands import _explain_training as training

    # of the words that have other meanings, losses alone may have one there
    asked = layer is None and all(one.kind == LOSS for one in others)
    trained = training.meanings(word) if asked else []
    found += [_format_meaning(one) for one in (*map(training.with_tasks, others), *trained)]
    if not found:
        hint = did_you_mean(word, dict.fromkeys([*vocabulary.words(), *words(), *training.words()]))
        raise UsageError(
            f"there is no word `{cut(word, MAX_WORD)}` in the language",
            help=hint or "`archspec list` shows the primitives and blocks; --in SPEC explains a spec's own blocks",
        )
    return found


def _format_meaning(one: Any) -> str:
    from archspec.language.glossary import CODE

    lines = [f"error[{one.word}]: {one.doc}" if one.kind == CODE else f"{one.word} ({one.kind}): {one.doc}"]
    if one.rows:
        lines += ["", _format_rows("where it stands" if one.kind == "an argument" else "arguments", one.rows)]
    if one.facts:
        lines += ["", *(f"{heading}: {text}" for heading, text in one.facts)]
    for heading, text in one.examples:
        lines += ["", f"{heading}:", *(f"  {line}" for line in text.splitlines())]
    return "\n".join(lines)


def _format_rows(heading: str, rows: Sequence[tuple[str, str]]) -> str:
    formatter = click.HelpFormatter(max_width=110) if sys.stdout.isatty() else click.HelpFormatter(width=110)
    with formatter.section(heading):
        formatter.write_dl(rows)
    return formatter.getvalue().rstrip()


def _arguments(found: Primitive | Block) -> str:
    from archspec.language.glossary import describe_argument

    arguments = found.signature.arguments
    if not arguments:
        return "arguments: none"
    return _format_rows(
        "arguments, the first of which may be given alone", [(one.name, describe_argument(one)) for one in arguments]
    )


def _primitive(primitive: Primitive) -> str:
    lines = [f"{primitive.name}: {primitive.doc}", ""]
    lines += [_arguments(primitive), "", f"shapes: {primitive.rule or 'as its plugin says'}"]
    if primitive.weights:
        lines.append(f"parameters: {', '.join(primitive.weights)}")
    if primitive.source:
        lines.append(f"source: {primitive.source}")
    if primitive.examples:
        lines += ["", "examples:", *(f"  - {example}" for example in primitive.examples)]
    return "\n".join(lines)


def _block(block: Block) -> str:
    from archspec.foundation.shapes import show
    from archspec.language.inputs import show_inputs
    from archspec.spec import from_dict

    lines = [f"{block.name}: {block.doc}", ""]
    lines.append(_arguments(block))
    plan = from_dict(example_spec(block)).plan
    lines += ["", f"example: - {block.example}"]
    lines.append(f"  {show_inputs(plan.takes)} → {show(plan.output)}, {plan.params:,} parameters, {plan.macs:,} MACs")
    if block.source:
        lines.append(f"source: {block.source}")
    lines += ["", f"its definition, {block.mark.text.name}:", *(f"  {line}" for line in block.mark.text.lines)]
    return "\n".join(lines)


def example_spec(block: Block) -> dict[str, Any]:
    """A spec whose network is a block's example, as data."""
    from archspec.foundation.reading import read
    from archspec.foundation.source import plain

    return {
        "archspec": 1,
        "name": block.name,
        "input": [64, 32, 32],
        "defaults": {"act": "relu", "norm": "batch_norm"},
        "network": [plain(read(block.example.encode(), f"example of {block.name}"))],
    }


# --- a spec's own blocks ----------------------------------------------------------------------------------------------


def _of_the_spec(name: str, spec: str) -> str:
    """A block of a spec's own. Raises `SpecError` where the spec is wrong, `UsageError` where it has no such block."""
    from archspec.foundation.errors import SpecError, join_words
    from archspec.foundation.report import Report
    from archspec.foundation.source import Mapping
    from archspec.language.vocabulary import define_blocks
    from archspec.spec import open_file

    file, variant = open_file(spec)
    checked = file.check([variant])
    if checked.diagnostics:
        raise SpecError(checked.diagnostics)
    assert isinstance(file.tree, Mapping)
    blocks = define_blocks(file.tree.get("blocks"), Report())
    if name not in blocks:
        help = did_you_mean(name, blocks) or (f"its blocks are {join_words(blocks)}" if blocks else "it has none")
        raise UsageError(f"{file.file} has no block `{name}` of its own", help=help)
    return _own_block(blocks[name])


def _own_block(block: Block) -> str:
    lines = [f"{block.name}: {block.doc or 'a block that says nothing of itself'}", "", _arguments(block), ""]
    if block.example:
        lines.append(f"example: - {block.example}")
    if block.source:
        lines.append(f"source: {block.source}")
    return "\n".join([*lines, f"its definition, {block.mark}:", *(f"  {line}" for line in _definition(block))])


def _definition(block: Block) -> list[str]:
    """The lines of a block's definition: from its name on, as long as lines are indented further, or empty."""
    from textwrap import dedent

    lines = block.mark.text.lines[block.mark.line - 1 :]
    taken = [lines[0]]
    for line in lines[1:]:
        if line.strip() and len(line) - len(line.lstrip()) < block.mark.column:
            break
        taken.append(line)
    while not taken[-1].strip():
        taken.pop()
    return dedent("\n".join(taken)).splitlines()
