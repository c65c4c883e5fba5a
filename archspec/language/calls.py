"""The grammar of calls: a primitive, block or role by its name, the arguments written for it, and their formulas."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from archspec.foundation.arguments import NODE, Schema, Signature, fault_in, is_node
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.formulas import parse
from archspec.foundation.report import Report
from archspec.foundation.source import Mapping, Scalar, Value
from archspec.foundation.spelling import did_you_mean
from archspec.language.foreign import argument_hint, layer_hint, listed_hint, number_hint, value_hint
from archspec.language.names import INCOMING, LOOP, MERGES, MODIFIERS, NODE_WORDS, ROLES
from archspec.language.syntax import Call, Expression, GivenArgument, Invalid, SyntaxNode, mark_of, parse_expression
from archspec.layers.registry import primitives


class Signatures(Protocol):
    """What nodes may name, each with its arguments; `Vocabulary` is the one there is."""

    def signature(self, name: str) -> Signature | None:
        """The arguments of what has this name; `None` where nothing has it."""

    def words(self) -> Iterable[str]:
        """Every name, to suggest the nearest."""


class CallGrammar(ABC):
    """Parses calls whose formulas see the variables `visible`: those of the file, or the arguments of a `block`."""

    def __init__(self, vocabulary: Signatures, visible: Iterable[str], report: Report, block: str = "") -> None:
        self.vocabulary = vocabulary
        self.block = block
        self.visible = set(visible) | set(INCOMING)
        self.report = report
        self.used: set[str] = set()
        """The names from outside that formulas use, those of columns that hide them aside."""
        self.columns: set[str] = set()
        """Those of the loops around."""
        self.unnamed_rows = False  # within a loop over `rows` whose columns have no names
        self.reads: list[frozenset[str]] = []
        """The names that formulas read, in the order in which they stand."""

    @abstractmethod
    def _parse_node(self, key: str, value: Value) -> SyntaxNode:
        """A node in its place."""

    # --- formulas ------------------------------------------------------------------------------------------------

    @contextmanager
    def _loop(self, inside: bool, columns: Iterable[str] = ()) -> Iterator[None]:
        """Within it, formulas see a loop's variables."""
        added = {*LOOP, *columns} - self.visible if inside else set()
        hiding = set(columns) - self.columns
        self.visible |= added
        self.columns |= hiding
        try:
            yield
        finally:
            self.visible -= added
            self.columns -= hiding

    @contextmanager
    def _values_of_let(self) -> Iterator[dict[str, Mark]]:
        """Within it, formulas see the names that are added, as long as they are made visible too."""
        new: dict[str, Mark] = {}
        before = len(self.reads)
        try:
            yield new
        finally:
            self.visible -= new.keys()
            if new:
                self._note_unread(new, before, "the value `{}`, which `let` gives")

    def _note_unread(self, names: dict[str, Mark], before: int, what: str) -> None:
        """Note the names that no formula has read since there were `before` of them."""
        read = frozenset().union(*self.reads[before:])
        for name, mark in names.items():
            if name not in read:
                self.report.note(f"nothing depends on {what.format(name)}", mark)

    def _parse_expression(self, value: Value) -> Expression:
        """A value with formulas, whose variables are all known. Raises `Fault`."""
        made = parse_expression(value)
        self.used |= made.names - self.columns
        if made.names:
            self.reads.append(made.names)
        for name in sorted(made.names - self.visible):
            known = [*sorted(self.visible - set(INCOMING)), *INCOMING]
            hint = (
                "formulas have `none` for nothing"
                if name in ("null", "nil", "undefined")
                else did_you_mean(name, known)
            )
            if self.vocabulary.signature(name):
                hint = f"a layer's name is a text, in quotes: `'{name}'`"
            elif any(name in option.get("enum", ()) for option in _options()):
                hint = f"a text stands in quotes: `'{name}'`"
            elif name in LOOP:
                hint = f"`{name}` is known within `for` and `repeat` alone"
            if hint is None and self.block:
                hint = f"a block sees its own arguments alone: add `{name}` to the `args` of `{self.block}`"
            if hint is None and self.unnamed_rows:
                hint = f"name the columns of a table: `for: {{as: [{name}, …], rows: …}}`"
            hint = hint or f"a text stands in quotes, `'{name}'`; known here are {join_words(known)}"
            self.report.add(
                Fault("variable-unknown", f"there is no variable `{name}` here", mark_of(value, name), help=hint)
            )
        return made

    def _reads_as_formula(self, text: str) -> bool:
        """Whether a text would be a formula of known names, if it began with `=`."""
        try:
            names = parse(text).names
        except Fault:
            return False
        return bool(names) and names <= self.visible

    # --- calls ---------------------------------------------------------------------------------------------------

    def _explain_unknown(self, name: str, mark: Mark, *, branches: bool = False) -> Fault:
        near = did_you_mean(name, MERGES, cutoff=0.5) if branches else None
        # the usual name of a part is no mistyped `lstm`
        close = did_you_mean(name, (*self.vocabulary.words(), *NODE_WORDS)) if name != "stem" else None
        hint = layer_hint(name) or near or close
        numbered = name.rstrip("0123456789").rstrip("_-")
        if numbered != name and not layer_hint(name) and self.vocabulary.signature(numbered):
            hint = f"write `{numbered}` for the layer; a name stands before it, `{name}: {{{numbered}: …}}`, "
            hint += f"or beside it in a list, `name: {name}`"
        called, bracket, _ = name.partition("(")
        if bracket and (signature := self.vocabulary.signature(called)) is not None:
            given = ", ".join(f"{one}: …" for one in signature.required)
            hint = f"write `{called}: {{{given}}}`" if given else f"write `{called}`"
        if ":" in name:
            hint = f"put a space after the colon: `{name.replace(':', ': ', 1)}`"
        if self._reads_as_formula(name):
            hint = f"a formula begins with `=`: did you mean `={name}`?"
        if name in NODE_WORDS:
            hint = f"`{name}` is a word of the language, and needs a value: `{name}: …`"
        return Fault(
            "name-unknown",
            f"there is no primitive or block `{name}`",
            mark,
            help=hint or "`archspec list` shows them all; a block of your own goes under `blocks:`",
        )

    def _parse_call(self, node_word: str, mark: Mark, value: Value | None) -> Call | Invalid:
        """A primitive, block or role by name, with what stands beside it. Raises `Fault`."""
        before = self.report.count
        call = self._read_call(node_word, mark, value)
        return Invalid(mark, callee=node_word) if self.report.count > before else call

    def _read_call(self, node_word: str, mark: Mark, value: Value | None) -> Call:
        signature = Signature(node_word, ()) if node_word in ROLES else self.vocabulary.signature(node_word)
        if signature is None:
            raise self._explain_unknown(node_word, mark)
        if value is None or (isinstance(value, Scalar) and value.value is None):
            return Call(mark, node_word, {})
        if isinstance(value, Mapping):
            arguments = self._parse_arguments(value)
            for name, fault in signature.check_names(list(arguments)).items():
                fault.help = argument_hint(name, list(signature.by_name)) or fault.help
                if name in MODIFIERS:
                    fault.help = f"`{name}` stands beside `{node_word}`, in the same column, not among its arguments"
                self.report.add(fault, arguments[name].mark)
            for name, given in arguments.items():
                if name in signature.by_name:
                    self._check_constant(signature, name, given.value)
            return Call(mark, node_word, arguments)
        if signature.main is None:
            help = value_hint(node_word, value.value if isinstance(value, Scalar) else None, role=node_word in ROLES)
            raise Fault("argument-unknown", f"`{node_word}` takes no arguments", value.mark, help=help)
        main = self._parse_expression(value)
        self._check_constant(signature, signature.main.name, main, signature.main.cure)
        return Call(mark, node_word, {}, main)

    def _check_constant(self, signature: Signature, name: str, value: Expression, cure: str = "") -> None:
        argument = signature.by_name[name]
        cure = cure or argument.cure
        if is_node(argument.schema) and not value.is_formula and value.data not in (None, "none"):
            if value.data is False or value.data in ("None", "no", "off", "null"):
                shown = str(value.data).lower() if value.data is False else value.data
                message = f"`{name}` of `{signature.owner}` must be a layer, not `{shown}`"
                self.report.add(Fault("type-mismatch", message, value.mark, help="write `none` for no layer"))
            else:
                self._check_node(value.value, f"`{name}` of `{signature.owner}`")
        elif value.constant:
            fault = fault_in(value.data, argument.schema, f"`{name}` of `{signature.owner}`")
            if fault:
                fault.help = fault.help or cure or None
                text = value.data
                if (wanted := number_hint(text, argument.schema)) and not (cure and isinstance(text, list)):
                    fault.help = wanted
                elif meant := listed_hint(text, signature.owner, signature.by_name):
                    fault.help = meant
                elif isinstance(text, str) and (named := re.fullmatch(r"\$\{?(\w+)\}?|\{\{ *(\w+) *\}\}", text)):
                    fault.help = f"a formula begins with `=`: `={named[1] or named[2]}`"
                elif isinstance(text, str) and (self._reads_as_formula(text) or " if " in text):
                    fault.help = f"a formula begins with `=`: did you mean `={text}`?"
                self.report.add(fault, value.mark)

    def _check_node(self, value: Value, what: str) -> None:
        """Hold a layer that is given as an argument to the grammar."""
        node = self._parse_node("", value)
        if not isinstance(node.body, (Call, Invalid)) or node.modified:
            self.report.add(Fault("type-mismatch", f"{what} must be {NODE}", value.mark))

    def _parse_arguments(self, mapping: Mapping) -> dict[str, GivenArgument]:
        arguments = {}
        for name, (mark, value) in mapping.entries.items():
            try:
                arguments[name] = GivenArgument(mark, self._parse_expression(value))
            except Fault as fault:
                self.report.add(fault, value.mark)
        return arguments

    def _parse_use(self, mark: Mark, value: Value, mapping: Mapping) -> Call | Invalid:
        given = mapping.get("with")
        if given is not None and not isinstance(given, Mapping):
            raise Fault("type-mismatch", "`with` must be a mapping of arguments", given.mark)
        if isinstance(value, Scalar) and isinstance(value.value, str) and not value.value.startswith("="):
            return self._parse_call(value.value, value.mark, given)
        if not (isinstance(value, Scalar) and isinstance(value.value, str)):
            raise Fault("type-mismatch", "`use` must be a name, or a formula that gives one", value.mark)
        before = self.report.count
        call = Call(mark, self._parse_expression(value), self._parse_arguments(given) if given else {})
        return Invalid(mark) if self.report.count > before else call


def _options() -> Iterator[Schema]:
    """The types of all arguments of primitives, each alternative by itself."""
    for primitive in primitives().values():
        for argument in primitive.arguments:
            yield from (argument.schema, *argument.schema.get("anyOf", ()))
