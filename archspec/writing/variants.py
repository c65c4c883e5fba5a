"""Add a variant to the file of a spec, whose other text and comments stay as they are."""

from __future__ import annotations

from collections.abc import Mapping as ABCMapping
from typing import Any

from archspec.foundation import reading, source
from archspec.foundation.errors import Fault
from archspec.writing import written
from archspec.writing.canonical import format_spec
from archspec.writing.scalars import quote


def add_variant(content: bytes, shown: str, name: str, partial: source.Mapping) -> bytes:
    """A spec's content with one more variant, the last of its section, which is made where there is none.

    Args:
        content: The file's content, that of a sound spec without a variant of this name.
        shown: How the file is shown in errors.
        name: The variant's name.
        partial: What the variant says.
    """
    text = content.decode("utf-8-sig").replace("\r\n", "\n")
    root = written.parse(text).root
    assert isinstance(root, written.Mapping)
    section = next((value for key, value in root.entries if key.value == "variants"), None)
    entry = {name: {key: value for key, (_, value) in partial.entries.items()}}
    if isinstance(section, written.Mapping) and section.entries and not section.flow:
        margin = " " * (section.start - text.rfind("\n", 0, section.start) - 1)
        at = _line_end(text, _end(section))
        made = text[:at] + "\n" + _indented(_block(entry), margin).rstrip("\n") + text[at:]
    elif isinstance(section, written.Mapping):
        made = _into_flow(text, section, _flow(entry)[1:-1])
    elif section is not None:  # `variants:` without any
        at = _line_end(text, section.end)
        made = f"{text[: section.start]}{text[section.end : at]}\n{_indented(_block(entry), '  ')}{text[at + 1 :]}"
    elif root.flow:
        made = _into_flow(text, root, _flow({"variants": entry})[1:-1])
    else:
        made = text.rstrip("\n") + "\n" + _block({"variants": entry})
    before, after = (source.plain(reading.read(one.encode(), shown)) for one in (text, made))
    variants = {**(before.get("variants") or {}), name: source.plain(partial)}
    if after != {**before, "variants": variants} or not _remarks(text) <= _remarks(made):
        raise AssertionError(f"the variant {name} would not be added to {shown} as it should")
    return (made.replace("\n", "\r\n") if b"\r\n" in content else made).encode()


def _remarks(text: str) -> set[str]:
    return {comment.text for comment in written.parse(text).comments}


def _into_flow(text: str, holder: written.Mapping, entry: str) -> str:
    before = text[: holder.end - 1]
    bare = "" if not holder.entries or before.rstrip().endswith(",") else ", "
    return f"{before}{bare}{entry}{text[holder.end - 1 :]}"


def _block(entry: ABCMapping[str, Any], depth: int = 0) -> str:
    """Dictionaries in block style, and the values that they hold in flow style, on a line each where it has room."""
    lines = []
    for key, value in entry.items():
        inner = f"\n{_block(value, depth + 1)}" if isinstance(value, dict) else f" {_flow(value)}\n"
        lines.append(f"{'  ' * depth}{_text(key)}:{inner}")
    made = "".join(lines)
    return made if depth else format_spec(made.encode(), "variant")


def _flow(value: Any) -> str:
    """A value in flow style, its scalars as they were written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, source.Mapping):
        return _flow({key: inner for key, (_, inner) in value.entries.items()})
    if isinstance(value, source.List):
        return "[" + ", ".join(map(_flow, value.items)) + "]"
    assert isinstance(value, source.Scalar)
    if isinstance(value.value, str):
        return _text(value.value)
    return str(value.text or "null") if value.value is not None else "null"


def _text(text: str) -> str:
    """A text without quotes, where it may stand in a flow collection without."""
    try:
        kept = source.plain(reading.read(f"[{text}]".encode(), "text")) == [text]
    except Fault:
        kept = False
    return text if kept else quote(text)


def _indented(text: str, margin: str) -> str:
    return "".join(margin + line if line.strip() else line for line in text.splitlines(keepends=True))


def _end(node: written.Node) -> int:
    """Where the last value in a collection ends."""
    if isinstance(node, (written.List, written.Mapping)) and not node.flow:
        last = node.entries[-1][1] if isinstance(node, written.Mapping) else node.items[-1]
        return _end(last)
    return node.end


def _line_end(text: str, offset: int) -> int:
    found = text.find("\n", offset)
    return len(text) if found < 0 else found
