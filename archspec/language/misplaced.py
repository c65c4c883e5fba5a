"""What is wrong with nodes that are written as another form of the language, or in another place: faults with cures."""

from __future__ import annotations

import re

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.source import List, Mapping, Scalar, Value
from archspec.language.branches import make_invalid
from archspec.language.names import MERGES, MODIFIER_WORDS


def find_branch(mapping: Mapping) -> Fault | None:
    """The fault of named parts one of which can only be meant as a branch: it is empty, or named as a way around."""
    parts = {key: entry for key, entry in mapping.entries.items() if key != "let"}
    for name, (mark, value) in parts.items() if len(parts) > 1 else ():
        empty = is_empty(value)
        around = name in AROUND and len(parts) == 2 and not make_invalid(mark, value).tensors
        if empty or around:
            what = f"the part `{name}` is empty" if empty else f"`{name}` names a part"
            written = ", ".join(f"{key}: {'[]' if key == name and empty else '…'}" for key in list(parts)[:3])
            help = f"for branches, name the merge: `add: {{{written}}}`; "
            help += "or leave the part out" if empty else "or give the part another name"
            return Fault("node-form", f"{what}, and parts follow one another", mark, help=help)
    return None


def is_empty(value: Value) -> bool:
    """Whether a file leaves a list empty; `--set` does so to take a part out."""
    return isinstance(value, List) and not value.items and not value.mark.text.name.startswith("--set")


def doubt_parts(mapping: Mapping) -> str | None:
    """What is to be said of parts that follow one another, and are named as branches are."""
    parts = {key: entry for key, entry in mapping.entries.items() if key != "let"}
    named = all(re.fullmatch(r"(branch|path)(_?\w)?|main|left|right|residual", name) for name in parts)
    if len(parts) < 2 or not named or any(make_invalid(mark, value).tensors for mark, value in parts.values()):
        return None
    written = ", ".join(f"{name}: …" for name in list(parts)[:3])
    return f"these parts follow one another; for branches, name the merge: `add: {{{written}}}`, or `concat`"


AROUND = ("shortcut", "skip", "identity", "bypass")


def explain_body(mapping: Mapping) -> Fault:
    """The fault of a `body` without `for`."""
    mark = next(at for key, (at, _) in mapping.entries.items() if key not in MODIFIER_WORDS)
    if "repeat" not in mapping.entries:
        help = "the nodes stand in a list: `- [relu, tanh]`; `when` beside `body` is for the branches of a merge"
        return Fault("node-form", "`body` belongs to `for`, and here is none", mark, help=help)
    message = "`repeat` stands beside one node, and `body` belongs to `for`"
    count = count_of(mapping)
    help = (
        f"for several nodes, write `for: {{i: =range({count})}}` in place of `repeat: {count}`, and them under `body`"
    )
    return Fault("node-form", message, mark, help=help)


def count_of(mapping: Mapping) -> str:
    """What stands at `repeat`, as within a formula."""
    repeat = mapping.get("repeat")
    return repeat.text.removeprefix("=") if isinstance(repeat, Scalar) else "3"


def explain_beside(word: str, words: list[str], mapping: Mapping) -> Fault | None:
    """The fault of what stands beside a word of the language that is left empty, and belongs below it."""
    what = {"for": "columns", "aux": "keys", "let": "values"} | dict.fromkeys(MERGES, "branches")
    others = [key for key in words if key != word]
    if word not in what or not others:
        return None
    help = f"indent the {what[word]} of `{word}`: they stand below it"
    message = f"`{others[0]}` stands beside `{word}`, not below it"
    return Fault("key-unknown", message, mapping.entries[others[0]][0], help=help)


def explain_let(mark: Mark) -> Fault:
    """The fault of a `let` that nothing follows."""
    help = "put `- let: …` in a list, before the nodes that use its values; or `let` among the parts that it is for"
    return Fault("node-form", "`let` gives values to what follows it, and here nothing does", mark, help=help)
