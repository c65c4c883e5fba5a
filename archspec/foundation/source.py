"""YAML text to a tree in which every key and value knows its line and column.

Scalars follow YAML 1.2's core schema. What a spec has no use for is refused: tags, several documents, duplicate keys,
anchors that contain themselves, and files, trees or numbers beyond the limits below.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from archspec.foundation.errors import Fault, Mark, Text, cut

MAX_BYTES = 1_000_000
MAX_DEPTH = 60
MAX_VALUES = 100_000

# libyaml's parser where PyYAML was built with it, else the one in Python: the same events, some ten times slower
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# what libyaml says from 0.2.6 on of the 1,001st level, which may come before the events of the first
_TOO_DEEP_FOR_LIBYAML = "exceeded maximum nesting depth"


@dataclass(frozen=True, slots=True)
class Value:
    """Something written in a file, at a place."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Scalar(Value):
    """A string, number, boolean or null. `text` is what stands in the file, without quotes."""

    value: str | int | float | bool | None
    text: str


@dataclass(frozen=True, slots=True)
class List(Value):
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Mapping(Value):
    """Keys in the order written; each with the place of the key and its value."""

    entries: dict[str, tuple[Mark, Value]]

    def get(self, key: str) -> Value | None:
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def without(self, *keys: str) -> Mapping:
        """The mapping less some keys."""
        return Mapping(self.mark, {key: entry for key, entry in self.entries.items() if key not in keys})


def plain(value: Value) -> Any:
    """The value as ordinary Python data."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, List):
        return [plain(item) for item in value.items]
    return {key: plain(inner) for key, (_, inner) in cast(Mapping, value).entries.items()}


def locate(value: Value, path: list[str | int]) -> Value:
    """The value at a path of keys and indices, or the nearest one above it."""
    for step in path:
        if isinstance(value, Mapping) and step in value.entries:
            value = value.entries[step][1]
        elif isinstance(value, List) and isinstance(step, int):
            value = value.items[step]
    return value


def paths_to(root: Value, marks: Iterable[Mark]) -> dict[Mark, str]:
    """The dotted paths of the keys or values at some places: `network.0.conv.kernel`; nothing is said of others."""
    # by line and column first: whole marks are compared only where these agree
    wanted: dict[tuple[int, int], set[Mark]] = {}
    for mark in marks:
        wanted.setdefault((mark.line, mark.column), set()).add(mark)
    found: dict[Mark, str] = {}

    def meet(mark: Mark, path: tuple[str, ...]) -> None:
        if mark in wanted.get((mark.line, mark.column), ()):
            found.setdefault(mark, ".".join(path))

    def search(value: Value, path: tuple[str, ...]) -> None:
        if isinstance(value, Mapping):
            for key, (at, inner) in value.entries.items():
                meet(at, (*path, key))
                search(inner, (*path, key))
        elif isinstance(value, List):
            for i, inner in enumerate(value.items):
                search(inner, (*path, str(i)))
        meet(value.mark, path)

    search(root, ())
    return found


def values_within(value: Value) -> Sequence[Value]:
    """The values that stand right within another: a list's items, or those of a mapping's keys."""
    if isinstance(value, List):
        return value.items
    return [inner for _, inner in value.entries.values()] if isinstance(value, Mapping) else ()


def is_left_empty(value: Value) -> bool:
    """Whether nothing stands in a value's place, not even the word `null`."""
    return isinstance(value, Scalar) and value.value is None and not value.text


def join_hint(value: Scalar) -> str | None:
    """What to do about a number that stands right behind another one and a comma, as in `1,024`."""
    mark = value.mark
    before = mark.text.lines[mark.line - 1][: mark.column - 1][-20:] if mark.line <= len(mark.text.lines) else ""
    if not (found := re.search(r"(\d+),$", before)) or not value.text[:1].isdigit():
        return None
    thousands = f", or `{found[1]}{value.text}` for thousands" if re.fullmatch(r"\d{3}", value.text) else ""
    return f"a comma ends a number: write `{found[1]}.{value.text}`{thousands}"


def from_python(data: Any, mark: Mark) -> Value:
    """Python data as a tree whose every part stands at one place. Raises `Fault` for data that a file cannot hold."""
    return _FromPython(mark).value(data, 0)


class _FromPython:
    """Makes a tree of Python data, within the limits of a file's: what contains itself exceeds them."""

    def __init__(self, mark: Mark) -> None:
        self.mark = mark
        self.count = 0

    def value(self, data: Any, depth: int) -> Value:
        mark = self.mark
        self.count += 1
        if self.count > MAX_VALUES:
            raise Fault("too-large", f"the data hold more than {MAX_VALUES:,} values", mark)
        if depth > MAX_DEPTH:
            raise Fault("too-large", f"the data are nested more than {MAX_DEPTH} deep", mark)
        if data is None or isinstance(data, (str, bool)):
            return Scalar(mark, data, str(data))
        if isinstance(data, (int, float)):
            return self._number(data)
        if isinstance(data, (list, tuple)):
            return List(mark, tuple(self.value(item, depth + 1) for item in data))
        if isinstance(data, dict):
            for key in data:
                if not isinstance(key, str):
                    raise Fault("type-mismatch", f"the keys of a mapping are texts, but one is of {_named(key)}", mark)
            return Mapping(mark, {key: (mark, self.value(inner, depth + 1)) for key, inner in data.items()})
        try:
            return self._number(operator.index(data))  # numpy's integers, say
        except (TypeError, ValueError):
            help = "give what its `tolist()` returns" if hasattr(data, "tolist") else None
            raise Fault("type-mismatch", f"{_named(data)} is not a value of a spec", mark, help=help) from None

    def _number(self, number: int | float) -> Scalar:
        if isinstance(number, float) and not math.isfinite(number):
            raise Fault("out-of-range", f"`{number}` is not a finite number", self.mark)
        if not abs(number) < 2**63:
            raise Fault("out-of-range", "a number is too large: it is 2⁶³ or more", self.mark)
        return Scalar(self.mark, number, str(number))


def _named(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


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
        before = string[: found.start()]
        text = Text(name, tuple(string.split("\n")))
        mark = Mark(text, before.count("\n") + 1, found.start() - (before.rfind("\n") + 1) + 1)
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
            if error.problem == "could not find expected ':'" and error.context_mark is not None:
                at = error.context_mark  # where the word stands that is no key
            if at is None or (at.line >= len(self.text.lines) and error.context_mark is not None):
                at = error.context_mark  # at the end of the file nothing is to be seen; show what was left open
            if error.problem == "exceeded maximum nesting depth" and error.problem_mark is not None:
                # libyaml looks ahead, and has a limit of its own
                _Tree(self.string[: error.problem_mark.index], self.text).root()
            problem = " ".join(filter(None, [error.problem, error.context and f"({error.context})"]))
            mark = Mark(self.text, at.line + 1, at.column + 1) if at else Mark(self.text, 1, 1)
            raise Fault(
                "yaml-syntax",
                f"this is not YAML: {problem}",
                mark,
                help=_syntax_hint(error, self.text, mark),
            ) from None
        except yaml.reader.ReaderError as error:
            # libyaml counts bytes, the parser in Python characters
            before = self.string[: error.position]
            if _LOADER is getattr(yaml, "CSafeLoader", None):
                before = self.string.encode()[: error.position].decode(errors="ignore")
            mark = Mark(self.text, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
            raise Fault("yaml-syntax", "the file holds a character that YAML does not allow", mark) from None

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


def _syntax_hint(error: yaml.MarkedYAMLError, text: Text, mark: Mark) -> str | None:
    """The likely cure of what YAML's parser complains of."""
    line = text.lines[mark.line - 1] if mark.line <= len(text.lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces: YAML does not allow tabs there"
    at = line[mark.column - 1 : mark.column]
    if "expected key" in (error.problem or "") and at in ("}", "]"):
        return f"there is a `{at}` too many"
    if "expected ',' or" in (error.problem or "") and at in ("}", "]"):
        return (
            f"what opens with `{'[' if at == '}' else '{'}` closes with `{']' if at == '}' else '}'}`, not with `{at}`"
        )
    if "expected ',' or" in (error.problem or "") and ";" in line[: mark.column]:
        return "commas part what stands in `{…}` and `[…]`, not semicolons"
    if "alphabetic or numeric" in (error.problem or "") and line.lstrip().startswith("* "):
        return "begin each node of a list with `- `"
    if _breaks_formula(error, line):
        return 'in `{…}` and `[…]`, put a formula that holds a comma, colon or bracket in quotes: "=max(1, 2)"'
    if word := re.match(r"\s*(?:- )?([\w.]+) [{\[]", line):
        return f"put a colon after `{word[1][:40]}`"
    if error.problem == "found unexpected ':'" and (word := re.search(r"(\w+):$", line[: mark.column])):
        return f"put a space after the colon, or leave it out: `{word[1][:40]}`"
    if re.search(r"\w:[{\[\w]", line):
        return "put a space after the colon"
    above = text.lines[mark.line - 2] if 1 < mark.line <= len(text.lines) + 1 else ""
    word = re.fullmatch(r"( *(?:- )*)([\w.]+) *", above[:_FAR])
    if "mapping values" in (error.problem or "") and word and line.startswith(" " * len(word[1])):
        return f"put a colon after `{word[2][:40]}`, in the line above"
    if "mapping values" in (error.problem or "") and re.fullmatch(r"\s*(?:- )?[\w.]+", line[: mark.column - 1]):
        return _SYNTAX_HINTS["expected key"]  # it is the line's first key
    if "expected '-' indicator" in (error.problem or "") and re.fullmatch(r"\s*- \[.*\]\s*", above[:_FAR]):
        return "nothing stands beside a list in brackets: put the list below a key, such as `body` of `for`"
    for words, hint in _SYNTAX_HINTS.items():
        if words in (error.problem or ""):
            return hint
    return None


def _breaks_formula(error: yaml.MarkedYAMLError, line: str) -> bool:
    """Whether an error lies within a formula that stands, without quotes, in `{…}` or `[…]` on one line."""
    begun, at = error.context_mark, error.problem_mark
    if begun is None or at is None or begun.line != at.line or "flow" not in (error.context or ""):
        return False
    value = line[max(begun.column, at.column - _FAR) : at.column].rsplit(",", 1)[-1]
    return re.search(r"(?:^|[:{\[])\s*=", value) is not None


_FAR = 200  # characters; no formula that breaks a line is longer


_SYNTAX_HINTS = {
    "could not find expected ':'": (
        "if this is a node of a list, begin it with `- `; if it is a key, put a colon after it"
    ),
    "expected '-' indicator": "begin each node of a list with `- `",
    "expected key": "what belongs together begins in the same column: is this indented too far?",
    "mapping values are not allowed": "put several arguments in `{…}`; what belongs to a key stands below it, indented",
    "expected ',' or": "close what is opened here, or put a comma between its parts",
    "expected <document start>": "what belongs together begins in the same column",
}
