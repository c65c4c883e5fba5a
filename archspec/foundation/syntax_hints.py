"""What to do about text that is no YAML, by what the parser complains of and what stands there."""

from __future__ import annotations

import re

import yaml

from archspec.foundation.errors import Mark, Text

_FAR = 200  # characters that are looked at; no formula that breaks a line is longer
_CURES = {
    "could not find expected ':'": (
        "if this is a node of a list, begin it with `- `; if it is a key, put a colon after it"
    ),
    "expected '-' indicator": "begin each node of a list with `- `",
    "expected key": "what belongs together begins in the same column: is this indented too far?",
    "mapping values are not allowed": "put several arguments in `{…}`; what belongs to a key stands below it, indented",
    "expected ',' or": "close what is opened here, or put a comma between its parts",
    "expected <document start>": "what belongs together begins in the same column",
}
"""By what the parser says, where nothing that stands there says more."""


def explain_syntax(error: yaml.MarkedYAMLError, text: Text, mark: Mark) -> str | None:
    """The likely cure of what YAML's parser complains of."""
    problem = error.problem or ""
    line = text.lines[mark.line - 1] if mark.line <= len(text.lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces: YAML does not allow tabs there"
    at = line[mark.column - 1 : mark.column]
    if "expected key" in problem and at in ("}", "]"):
        return f"there is a `{at}` too many"
    if "expected ',' or" in problem and at in ("}", "]"):
        return (
            f"what opens with `{'[' if at == '}' else '{'}` closes with `{']' if at == '}' else '}'}`, not with `{at}`"
        )
    if "expected ',' or" in problem and ";" in line[: mark.column]:
        return "commas part what stands in `{…}` and `[…]`, not semicolons"
    if "alphabetic or numeric" in problem and line.lstrip().startswith("* "):
        return "begin each node of a list with `- `"
    if _breaks_formula(error, line):
        return 'in `{…}` and `[…]`, put a formula that holds a comma, colon or bracket in quotes: "=max(1, 2)"'
    if word := re.match(r"\s*(?:- )?([\w.]+) [{\[]", line):
        return f"put a colon after `{word[1][:40]}`"
    if problem == "found unexpected ':'" and (word := re.search(r"(\w+):$", line[: mark.column])):
        return f"put a space after the colon, or leave it out: `{word[1][:40]}`"
    if re.search(r"\w:[{\[\w]", line):
        return "put a space after the colon"
    above = text.lines[mark.line - 2] if 1 < mark.line <= len(text.lines) + 1 else ""
    word = re.fullmatch(r"( *(?:- )*)([\w.]+) *", above[:_FAR])
    if "mapping values" in problem and word and line.startswith(" " * len(word[1])):
        return f"put a colon after `{word[2][:40]}`, in the line above"
    if "mapping values" in problem and re.fullmatch(r"\s*(?:- )?[\w.]+", line[: mark.column - 1]):
        return _CURES["expected key"]  # it is the line's first key
    if "expected '-' indicator" in problem and re.fullmatch(r"\s*- \[.*\]\s*", above[:_FAR]):
        return "nothing stands beside a list in brackets: put the list below a key, such as `body` of `for`"
    return next((cure for words, cure in _CURES.items() if words in problem), None)


def _breaks_formula(error: yaml.MarkedYAMLError, line: str) -> bool:
    """Whether an error lies within a formula that stands, without quotes, in `{…}` or `[…]` on one line."""
    begun, at = error.context_mark, error.problem_mark
    if begun is None or at is None or begun.line != at.line or "flow" not in (error.context or ""):
        return False
    value = line[max(begun.column, at.column - _FAR) : at.column].rsplit(",", 1)[-1]
    return re.search(r"(?:^|[:{\[])\s*=", value) is not None
