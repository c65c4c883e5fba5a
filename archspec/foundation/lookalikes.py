"""Characters that only look like those of YAML and formulas, as copied from a PDF or a web page, and what was meant."""

from __future__ import annotations

import ast
import re
import unicodedata

_MEANT = {
    **dict.fromkeys("‐‑‒–—−﹣", "-"),
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″", '"'),
    **dict.fromkeys("：∶", ": "),
    **dict.fromkeys("，、", ", "),
    **dict(zip("АВЕКМНОРСТХУасеорухіјѕһԁԛԝ", "ABEKMHOPCTXYaceopyxijshdqw", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρυ", "ABEZHIKMNOPTYXovpu", strict=True)),
}
_OPERATORS = dict.fromkeys("×∗·⋅", "*") | {"÷": "//", "⁄": "/", "∕": "/", "≤": "<=", "≥": ">=", "≠": "!="}
"""Of formulas; elsewhere, as in the text `3×3`, they are what they are."""


def explain_lookalike(text: str, code: str) -> str | None:
    """What to do about a text that holds a character that looks like another one; `None` where it holds none.

    In the name of something (`name-reserved`), any letter but those from a to z is one too many.
    """
    table = _MEANT | _OPERATORS if code == "formula-syntax" else _MEANT
    char = next((char for char in text if _meant(char, table) != char), None)
    if char is None:
        other = next((char for char in text if not char.isascii()), None) if code == "name-reserved" else None
        return other and f"`{other}` is none of the letters from a to z"
    number, plain = f"U+{ord(char):04X}", _meant(char, table)
    what = f"`{char}` is {number} here, which only looks like `{plain.strip()}`"
    if char in _OPERATORS:
        what = f"formulas have `{plain}` for `{char}`"
    elif not plain.strip():
        what = f"{number} stands here, which {'only looks like a space' if plain else 'nobody sees'}"
    meant = re.sub("([:,]) +", r"\1 ", "".join(_meant(one, table) for one in text))
    return f"{what}: write `{meant}`"


def find_name(tree: ast.AST, source: str) -> tuple[str, str] | None:
    """The first name as it is written, such as `ｗidth`, that Python takes for another one, and that one."""
    for node in ast.walk(tree):
        written = ast.get_source_segment(source, node) if isinstance(node, ast.Name) else None
        if isinstance(node, ast.Name) and written and written != node.id:
            return written, node.id
    return None


def _meant(char: str, table: dict[str, str]) -> str:
    """What one character stands for in ASCII, nothing for one that is not seen, or the character itself."""
    if char.isascii():
        return char
    if unicodedata.category(char) == "Cf":
        return ""
    plain = table.get(char) or unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() else char
