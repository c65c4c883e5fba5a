"""The tables of the documentation that the code holds: written anew between their markers in the pages beside this.

    python docs/tables.py

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is one of `TABLES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from archspec.foundation.arguments import Argument, Signature
from archspec.foundation.codes import CODES
from archspec.foundation.errors import join_words
from archspec.foundation.functions import FUNCTIONS
from archspec.language import keywords
from archspec.language.glossary import format_value, recipe_keys, recipe_type
from archspec.language.keywords import Keywords
from archspec.language.vocabulary import library_block, library_names
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.merges import MERGE_RULES
from archspec.layers.registry import primitives
from archspec.recipe import AUGMENTATIONS, LOSSES, OPTIMIZERS, RESIZES, Option

MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SECTIONS = {  # of the same page: where more is said
    "extends": "Specs that extend others",
    "vars": "Variables and formulas",
    "defaults": "Defaults and roles",
    "blocks": "Blocks",
    "variants": "Variants",
    "init": "Initial values",
    "expect": "Figures to expect",
    "recompute": "Recomputation",
    "share": "Shared weights",
    "for": "Loops",
    "let": "Values by `let`",
    **dict.fromkeys(MERGE_RULES, "Merges"),
    "save": "Saved tensors",
    "load": "Saved tensors",
    "output": "Outputs",
    "aux": "Auxiliary classifiers",
}


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    if cells[0] == "---":
        return "|" + "|".join(cells) + "|\n"
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|\n"


def _code(word: str) -> str:
    return f"`{word}`"


def _said(word: str, doc: str, *, linked: bool) -> str:
    """A word's meaning, with a link to the section of the page that says more."""
    title = SECTIONS.get(word)
    if not linked or title is None:
        return doc
    return f"{doc} See [{title}](#{title.lower().replace(' ', '-').replace('`', '')})."


def _forms(heading: str, of: Keywords, *, linked: bool = False) -> str:
    rows = [[_code(word), _said(word, form.doc, linked=linked), form.takes] for word, form in of.items()]
    headings = [heading, "meaning", "what stands there"]
    if any(form.needed for form in of.values()):
        headings.append("needed")
        rows = [[*row, "yes" if form.needed else ""] for row, form in zip(rows, of.values(), strict=True)]
    return table(headings, rows)


def _node_forms() -> str:
    rows = []
    for word, form in keywords.NODE_KEYWORDS.items():
        beside = [*map(_code, form.companions), "any modifier" if form.modifiers == tuple(keywords.MODIFIERS) else ""]
        if not beside[-1]:
            beside[-1] = join_words(form.modifiers)
        rows.append([_code(word), _said(word, form.doc, linked=True), form.takes, "; ".join(beside)])
    return table(["word", "meaning", "what stands there", "keys and modifiers beside it"], rows)


def _defaults(arguments: Iterable[Argument], *, docs: bool = False) -> str:
    """Arguments with their defaults, and what they are where `docs` says so."""
    words = []
    for one in arguments:
        default = "" if one.required else f" {_default(one)}"
        words.append(_code(one.name) + default + (f": {one.doc}" if docs else ""))
    return ("; " if docs else ", ").join(words) or "none"


def _default(argument: Argument) -> str:
    return "none" if argument.default is None else format_value(argument.default)


def _layers(found: Iterable[tuple[str, str, Signature]]) -> str:
    rows = [[_code(name), doc, _defaults(signature.arguments)] for name, doc, signature in found]
    return table(["layer", "what it does", "arguments and defaults"], rows)


def _blocks() -> str:
    found = map(library_block, library_names())
    rows = [[_code(one.name), one.doc, _defaults(one.signature.arguments)] for one in found]
    return table(["block", "what it does", "arguments and defaults"], rows)


def _recipe() -> str:
    rows = []
    for path, key in recipe_keys().items():
        section, _, name = path.rpartition(".")
        word = f"{_code(section)}: {_code(name)}" if section else _code(name)
        alone = path == "steps" or (section != "" and key.default is None)  # one of two, and the other stands
        default = "needed" if key.required else "" if alone else _code(_yaml(key.default))
        more = f" ({_RECIPE_LINKS[path]})" if path in _RECIPE_LINKS else ""
        rows.append([word, key.doc + more, "" if name == "augment" else recipe_type(key), default])
    return table(["key", "meaning", "value", "default"], rows)


_RECIPE_LINKS = {
    "data": "[Data](data.md)",
    "weights": "[Fine-tuning](fine-tuning.md)",
    "freeze": "[Frozen parts](fine-tuning.md#frozen-parts)",
    "lr_scale": "[Rates of their own](fine-tuning.md#rates-of-their-own)",
    "outputs": "[Several outputs](tasks.md#several-outputs)",
    "augment": "[Augmentations](#augmentations)",
}


def _yaml(value: object) -> str:
    return "null" if value is None else format_value(value)


def _options(heading: str, options: Iterable[tuple[str, Option]], without: str = "") -> str:
    rows = [
        [
            _code(name),
            option.doc,
            ", ".join(_code(one) for one in option.arguments if one != without) or "none",
        ]
        for name, option in options
    ]
    return table([heading, "what it does", f"arguments beside `{without}`" if without else "arguments"], rows)


def _initialisers() -> str:
    rows = []
    for name, one in INITIALIZERS.items():
        words = []
        for key, schema in one.arguments.items():
            choices = f" ({join_words(schema['enum'])})" if "enum" in schema else ""
            words.append(_code(key) + choices + (", needed" if key in one.required else ""))
        axes = f"{one.least_axes} or more" if one.least_axes else "any"
        rows.append([_code(name), one.doc, ", ".join(words) or "none", axes])
    return table(["initialiser", "what it gives", "arguments", "axes of the parameter"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "file-keys": lambda: _forms("key", keywords.FILE_KEYS, linked=True),
    "functions": lambda: table(
        ["function", "calls", "result"],
        [[_code(name), ", ".join(map(_code, _calls(one.calls))), one.doc] for name, one in FUNCTIONS.items()],
    ),
    "node-forms": _node_forms,
    "modifiers": lambda: _forms("modifier", keywords.MODIFIERS, linked=True),
    "merges": lambda: table(
        ["merge", "result", "the branches need"],
        [[_code(name), rule.doc, rule.needed] for name, rule in MERGE_RULES.items()],
    ),
    "for-keys": lambda: _forms("key", keywords.FOR_KEYS),
    "aux-keys": lambda: _forms("key", keywords.AUX_KEYS),
    "block-keys": lambda: _forms("key", keywords.BLOCK_KEYS),
    "argument-keys": lambda: _forms("key", keywords.ARGUMENT_KEYS),
    "argument-types": lambda: table(["type", "takes"], [[_code(w), f.doc] for w, f in keywords.ARGUMENT_TYPES.items()]),
    "initialisers": _initialisers,
    "expect-keys": lambda: _forms("key", keywords.EXPECT_KEYS),
    "recipe-keys": _recipe,
    "resizes": lambda: _options("resize", RESIZES.items()),
    "losses": lambda: _options("loss", LOSSES.items()),
    "optimizers": lambda: _options("optimizer", OPTIMIZERS.items(), "lr"),
    "augmentations": lambda: table(
        ["augmentation", "what it does", "arguments and defaults"],
        [[_code(n), one.doc, _defaults(one.signature.arguments, docs=True)] for n, one in AUGMENTATIONS.items()],
    ),
    "layers": lambda: _layers((name, one.doc, one.signature) for name, one in primitives().items()),
    "blocks": _blocks,
    "codes": lambda: table(["code", "meaning"], [[_code(code), doc] for code, doc in CODES.items()]),
}


def _calls(text: str) -> list[str]:
    return re.findall(r"\w+\([^)]*\)", text)


def written(page: str) -> str:
    """A page with each of its tables written anew. Raises `KeyError` where it names one that there is not."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], page)


if __name__ == "__main__":
    for file in sorted(Path(__file__).parent.glob("*.md")):
        file.write_text(written(file.read_text(encoding="utf-8")), encoding="utf-8")
