"""YAML text to a tree of values with their places.

Scalars follow YAML 1.2's core schema. What a spec has no use for is refused: tags, several documents, duplicate keys,
anchors that contain themselves, and files, trees or numbers beyond limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from archspec.foundation.errors import Fault, Mark, Text, cut
from archspec.foundation.source import MAX_DEPTH, MAX_VALUES, List, Mapping, Scalar, Value, join_hint

MAX_BYTES = 1_000_000

# libyaml's parser where PyYAML was built with it, else the one in Python: the same events, some ten times slower
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# what libyaml says from 0.2.6 on of the 1,001st level, which may come before the events of the first
_TOO_DEEP_FOR_LIBYAML = "exceeded maximum nesting depth"


def read(content: bytes, name: str) -> Value:
    """Parse the content of a file that is shown to people as `name`. Raises `Fault`."""
    if len(content) > MAX_BYTES:
        whole = Mark(Text(name, ()), 1, 1)
        raise Fault("too-large", f"the file has {len(content):,} bytes; a spec may have {MAX_BYTES:,}", whole)
    try:
        string = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        mark = Mark(Text(name, ()), line, error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1)
        raise Fault("yaml-syntax", "the file is not UTF-8 text", mark) from None
    for found in re.finditer("[\x85\u2028\u2029]", string):
        mark = _mark_after(string[: found.start()], Text(name, tuple(string.split("\n"))))
        message = f"the character U+{ord(found[0]):04X} ends a line to some readers of YAML and not to others"
        raise Fault("value-ambiguous", message, mark, help="remove it")
    return _Tree(string, Text(name, tuple(string.splitlines()))).root()


def first_text(content: bytes, key: str) -> str | None:
    """The text that a key of a file's outermost mapping has, read no further than that; `None` where it has none.

    For lists of files that are known to be sound: to read all of them whole would take long.
    """
    depth, is_key, word = 0, True, ""
    for event in yaml.parse(content, Loader=_LOADER):
        if isinstance(event, yaml.ScalarEvent) and depth == 1:
            if not is_key and word == key:
                return str(event.value)
            word, is_key = str(event.value), not is_key
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            is_key = is_key or depth == 1
    return None


def _mark_after(before: str, text: Text) -> Mark:
    """The place of the character that follows the beginning `before` of a text."""
    return Mark(text, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


class _Tree:
    """Builds the tree from the parser's events, without recursion in the parser, so that depth can be bounded."""

    def __init__(self, string: str, text: Text) -> None:
        self.text = text
        self.anchors: dict[str, Value | None] = {}
        self.sizes: dict[int, tuple[int, int]] = {}  # count and height of anchored values, by id
        self.count = 0
        self.deepest = 0
        self.string = string

    def root(self) -> Value:
        try:
            self.events = yaml.parse(self.string, Loader=_LOADER)
            return self._document()
        except yaml.MarkedYAMLError as error:
            at = error.problem_mark
            if at is not None and error.problem == _TOO_DEEP_FOR_LIBYAML:
                # what stands before it is too deep for us already, and is read as far as the place where it becomes so
                return _Tree(self.string[: at.index], self.text).root()
            raise self._syntax_fault(error) from None
        except yaml.reader.ReaderError as error:
            # libyaml counts bytes, the parser in Python characters
            before = self.string[: error.position]
            if _LOADER is getattr(yaml, "CSafeLoader", None):
                before = self.string.encode()[: error.position].decode(errors="ignore")
            mark = _mark_after(before, self.text)
            raise Fault("yaml-syntax", "the file holds a character that YAML does not allow", mark) from None

    def _syntax_fault(self, error: yaml.MarkedYAMLError) -> Fault:
        """The fault of text that is no YAML, where a person would look for it."""
        from archspec.foundation.syntax_hints import explain_syntax  # of a sound file nobody asks

        at = error.problem_mark
        if error.problem == "could not find expected ':'" and error.context_mark is not None:
            at = error.context_mark  # where the word stands that is no key
        if at is None or (at.line >= len(self.text.lines) and error.context_mark is not None):
            at = error.context_mark  # at the end of the file nothing is to be seen; show what was left open
        mark = Mark(self.text, at.line + 1, at.column + 1) if at else Mark(self.text, 1, 1)
        problem = " ".join(filter(None, [error.problem, error.context and f"({error.context})"]))
        help = explain_syntax(error, self.text, mark)
        return Fault("yaml-syntax", f"this is not YAML: {problem}", mark, help=help)

    def _document(self) -> Value:
        documents: list[Value] = []
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if documents:
                    raise Fault("yaml-feature", "a spec is one document; a second one begins here", self._mark(event))
                documents.append(self._value(next(self.events), 0))
        if not documents:
            raise Fault("type-mismatch", "the file is empty", Mark(self.text, 1, 1))
        return documents[0]

    def _mark(self, event: yaml.Event) -> Mark:
        start: Any = event.start_mark
        end: Any = event.end_mark
        length = end.column - start.column if end.line == start.line else 1
        return Mark(self.text, start.line + 1, start.column + 1, max(1, length))

    def _value(self, event: yaml.Event, depth: int) -> Value:
        mark = self._mark(event)
        self.count += 1
        if self.count > MAX_VALUES:
            raise Fault("too-large", f"the file holds more than {MAX_VALUES:,} values, aliases counted", mark)
        self._check_depth(depth, mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark, depth)
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!":
            raise Fault("yaml-feature", f"specs have no tags; this is `{tag}`", mark, help="write the value without it")
        anchor = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = None  # known, but not complete: it may not contain itself
        before, outer = self.count, self.deepest
        if anchor:
            self.deepest = depth
        if isinstance(event, yaml.ScalarEvent):
            value: Value = self._scalar(event, mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = List(mark, tuple(self._items(depth)))
        else:
            value = Mapping(mark, self._entries(depth))
        if anchor:
            self.anchors[anchor] = value
            self.sizes[id(value)] = (self.count - before + 1, self.deepest - depth)
            self.deepest = max(self.deepest, outer)
        return value

    def _check_depth(self, depth: int, mark: Mark) -> None:
        if depth > MAX_DEPTH:
            raise Fault("too-large", f"the file is nested more than {MAX_DEPTH} deep", mark)
        self.deepest = max(self.deepest, depth)

    def _alias(self, event: yaml.AliasEvent, mark: Mark, depth: int) -> Value:
        if event.anchor not in self.anchors:
            raise Fault("yaml-syntax", f"this is not YAML: there is no anchor `&{event.anchor}` above", mark)
        value = self.anchors[event.anchor]
        if value is None:
            raise Fault("yaml-feature", f"the value `&{event.anchor}` contains itself", mark)
        count, height = self.sizes[id(value)]
        self.count += count - 1
        self._check_depth(depth + height, mark)
        return value

    def _items(self, depth: int) -> Iterator[Value]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self._value(event, depth + 1)

    def _entries(self, depth: int) -> dict[str, tuple[Mark, Value]]:
        entries: dict[str, tuple[Mark, Value]] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            mark = self._mark(event)
            if not isinstance(event, yaml.ScalarEvent):
                laid = "a mapping cannot be laid over another: write its keys out, or make a block of them"
                help = laid if isinstance(event, yaml.AliasEvent) else None
                raise Fault("yaml-feature", "a key is a word, not a list, mapping or alias", mark, help=help)
            if event.tag is not None or event.anchor is not None:
                whole = f"an anchor of the whole stands before it: `- &{event.anchor} {{{event.value}: …}}`"
                help = whole if event.anchor is not None else None
                raise Fault("yaml-feature", "a key has no tag and no anchor", mark, help=help)
            key = event.value
            if key == "<<":
                raise Fault("yaml-feature", "YAML 1.2 has no merge key `<<`", mark, help="use `vars` or `defaults`")
            if key in entries:
                first = entries[key][0].line
                message = f"the key `{key}` stands here a second time; the first is in line {first}"
                help = f"keep one of them; if both are meant, as in a list, begin each with `- `: `- {cut(key, 40)}: …`"
                raise Fault("duplicate-key", message, mark, help=help)
            entries[key] = (mark, self._value(next(self.events), depth + 1))
        return entries

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> Scalar:
        text = event.value
        if event.style or event.tag == "!":
            return Scalar(mark, text, text)
        return Scalar(mark, _resolve(text, mark), text)


_NUMBER = re.compile(
    r"(?P<int>[-+]?(?:0|[1-9][0-9]*))|(?P<octal>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<infinite>[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))|(?P<zeros>[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
)
_WORDS: dict[str, bool | None] = {
    word: value
    for value, words in {
        None: ("null", "Null", "NULL", "~", ""),
        True: ("true", "True", "TRUE"),
        False: ("false", "False", "FALSE"),
    }.items()
    for word in words
}


def _resolve(text: str, mark: Mark) -> str | int | float | bool | None:
    """A plain scalar by YAML 1.2's core schema, less numbers that are ambiguous, infinite or beyond 2⁶³."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0] in "+-." or text[0].isdigit()):
        return text
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    kind = match.lastgroup
    if kind == "zeros":
        bare = text.lstrip("+-").lstrip("0") or "0"
        raise Fault(
            "value-ambiguous",
            f"`{text}` is an octal number to some readers of YAML and a decimal one to others",
            mark,
            help=join_hint(Scalar(mark, text, text))
            or f"write `{bare}`, `0o…` for an octal number, or quotes for a text",
        )
    if kind == "infinite":
        raise Fault("out-of-range", f"`{text}` is not a finite number", mark)
    number: int | float = float(text) if kind == "float" else int(text, 0) if len(text) <= 30 else math.inf
    if not abs(number) < 2**63:
        raise Fault("out-of-range", f"the number `{text[:40]}` is too large", mark)
    return number
