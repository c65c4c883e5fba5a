"""What an editor shows at a place: what a word means, which value it has here, and what its line makes."""

from __future__ import annotations

import os

from archspec.editor.document import Document, Spot
from archspec.editor.hints import calls, hints
from archspec.editor.names import Occurrence, is_node, names_in_formula, occurrence_at, same
from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.report import Report
from archspec.foundation.shapes import show
from archspec.foundation.source import Scalar
from archspec.language.blocks import Block
from archspec.language.finder import FoundFile
from archspec.language.glossary import Meaning, describe_argument, format_value, meanings
from archspec.language.vocabulary import Vocabulary, define_blocks
from archspec.layers.primitive import Primitive
from archspec.plan.plan import Plan

MAX_VALUES = 6  # of an argument or variable, where they differ
MAX_LINES = 100  # of a file


def hover(document: Document, line: int, column: int) -> str | None:
    """Markdown about what stands at a place, counted from 1; `None` where there is nothing to say."""
    spot = document.at(line, column)
    if spot is None:
        return None
    name = occurrence_at(document, line, column)
    found: str | None
    if name is not None and name.kind == "variable":
        found = _variable(document, name)
    elif name is not None and name.kind == "block":
        found = _block(document, name)
    elif name is not None:
        found = _tensor(document, name)
    else:
        found = _in_formula(spot, line, column) or _extended(document, spot) or _word(document, spot)
    return "\n\n".join(filter(None, [found, _line(document, line)])) or None


def vocabulary_of(document: Document) -> Vocabulary:
    """What the file's nodes may name, its own sound blocks included."""
    return Vocabulary(define_blocks(document.section("blocks"), Report()))


def _in_formula(spot: Spot, line: int, column: int) -> str | None:
    """What a word means that the language gives to formulas."""
    if spot.is_key or not isinstance(spot.value, Scalar) or not str(spot.value.value).startswith("="):
        return None
    for name, mark in names_in_formula(spot):
        if mark.line == line and mark.column <= column <= mark.column + mark.length:
            return "\n\n".join(_meaning(one) for one in meanings(name)) or None
    return None


def _extended(document: Document, spot: Spot) -> str | None:
    """The file that this one extends; `None` elsewhere, or where it may not be read."""
    if spot.path != ("extends",) or spot.is_key or any(one.code == "extends-path" for one in document.diagnostics):
        return None
    path = os.path.join(os.path.dirname(document.path), *str(spot.word).split("/"))
    try:
        lines = FoundFile(path, path).read().decode("utf-8").replace("```", "").splitlines()
    except (UsageError, UnicodeDecodeError):
        return None
    shown = [*lines[:MAX_LINES], *(["…"] if len(lines) > MAX_LINES else [])]
    return "\n".join([f"**{spot.word}**, over which this file is laid:", "", "```yaml", *shown, "```"])


def _variable(document: Document, name: Occurrence) -> str:
    values = "" if name.scope else _values(document, name.name)
    return f"**{name.name}**, a variable" + (
        f": {values}" if values else f" of {_scope(name.scope)}" if name.scope else ""
    )


def _scope(scope: tuple[str | int, ...]) -> str:
    return f"the block `{scope[1]}`" if scope[:1] == ("blocks",) else f"`{'.'.join(map(str, scope))}`"


def _block(document: Document, name: Occurrence) -> str:
    """A block of the file; one that is not sound has its name alone."""
    block = vocabulary_of(document).find(name.name)
    return _layer(block) if block is not None else f"**{name.name}**, a block of this file"


def _tensor(document: Document, name: Occurrence) -> str:
    """Where a tensor is saved or a module is first used, and what it is there."""
    words = {"tensor": "a tensor, saved", "input": "an input, given", "share": "a shared module, first used"}[name.kind]
    lines = [one.mark.line for one in same(document, name) if one.defines]
    places = ", ".join(str(line) for line in dict.fromkeys(lines))
    made = {line: text for one in set(lines) for line, text in hints(document, range(one, one + 1)).items()}
    shown = [made[line] for line in lines if line in made]
    shape = document.plan.inputs.get(name.name) if isinstance(document.plan, Plan) and name.kind == "input" else None
    what = f": {show(shape)}" if shape else f": {shown[0]}" if len(shown) == 1 else ""
    return f"**{name.name}**, {words} in {'line' if len(set(lines)) == 1 else 'lines'} {places}{what}"


def _values(document: Document, name: str) -> str:
    """The values of one of the file's variables, of the file itself and of variants that give another one."""
    values = {spec.variant: dict(spec.plan.vars)[name] for spec in document.specs if name in dict(spec.plan.vars)}
    own = values.pop(None, None)
    if own is None and not values and (written := _written(document, name)) is not None:
        return f"`{written}`"
    texts = [f"`{format_value(own)}`"] if own is not None else []
    texts += [f"`{format_value(value)}` in `{variant}`" for variant, value in values.items() if value != own]
    return ", ".join(texts[:MAX_VALUES]) + (", …" if len(texts) > MAX_VALUES else "")


def _written(document: Document, name: str) -> str | None:
    """What the file says of a variable: all that is known of it where the file has errors."""
    section = document.section("vars")
    value = section.get(name) if section is not None else None
    return value.text if isinstance(value, Scalar) else None


def _word(document: Document, spot: Spot) -> str | None:
    word = spot.word
    if not word:
        return None
    vocabulary = vocabulary_of(document)
    if is_node(spot) and (layer := vocabulary.find(word)) is not None:
        return _layer(layer)
    callee = _callee(spot, vocabulary)
    if spot.is_key and callee is not None and word in callee.signature.by_name:
        argument = callee.signature.by_name[word]
        return f"**{word}**, an argument of `{callee.name}`: {describe_argument(argument)}"
    found = [one for one in meanings(word) if not spot.is_key or one.kind != "an argument"]
    return "\n\n".join(_meaning(one) for one in found) or None


def _callee(spot: Spot, vocabulary: Vocabulary) -> Primitive | Block | None:
    """The layer or block among whose arguments a key stands."""
    parent = spot.path[-2] if len(spot.path) > 1 else None
    return vocabulary.find(parent) if isinstance(parent, str) else None


def _layer(layer: Primitive | Block) -> str:
    own = isinstance(layer, Block) and not layer.doc
    lines = [f"**{layer.name}**, a block of this file" if own else f"**{layer.name}**: {layer.doc}"]
    if isinstance(layer, Block) and layer.inputs:
        lines.append(f"takes {join_words(name for name, _ in layer.inputs)}, which `load` lists")
    if isinstance(layer, Block) and layer.outputs:
        lines.append(f"gives {join_words(name for name, _ in layer.outputs)}, which `save` lists")
    if layer.signature.arguments:
        lines.append("\n".join(f"- `{one.name}`: {describe_argument(one)}" for one in layer.signature.arguments))
    if isinstance(layer, Primitive) and layer.rule:
        lines.append(f"shapes: {layer.rule}")
    if layer.source:
        lines.append(layer.source)
    return "\n\n".join(lines)


def _meaning(one: Meaning) -> str:
    lines = [f"**{one.word}**, {one.kind}: {one.doc}"]
    lines += ["\n".join(f"- `{name}`: {text}" for name, text in one.rows)] if one.rows else []
    lines += [f"{heading}: {text}" for heading, text in one.facts]
    lines += [f"{heading}:\n```yaml\n{text}\n```" for heading, text in one.examples]
    return "\n\n".join(lines)


def _line(document: Document, line: int) -> str | None:
    """What the line makes, and with which arguments: where calls differ in one, all its values."""
    made = hints(document, range(line, line + 1)).get(line)
    if made is None:
        return None
    given, rows = calls(document, line), []
    for name in given[0] if given and all(one.keys() == given[0].keys() for one in given) else ():
        values = list(dict.fromkeys(format_value(one[name]) for one in given))
        more = ", …" if len(values) > MAX_VALUES else ""
        rows.append(f"{name} = {', '.join(values[:MAX_VALUES])}{more}")
    return f"here: {made}" + ("\n\n```\n" + "\n".join(rows) + "\n```" if rows else "")
