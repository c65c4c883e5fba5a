"""The grammar of networks and block bodies: trees of YAML values to trees of nodes.

Parsing recovers from errors: each is reported, and a node that cannot be understood becomes `Invalid`.
"""

from __future__ import annotations

from dataclasses import replace

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.source import List, Mapping, Scalar, Value, is_left_empty, join_hint
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.validate import faults
from archspec.language import keywords
from archspec.language.branches import make_invalid
from archspec.language.document import section_schema
from archspec.language.foreign import number_hint
from archspec.language.keywords import AUX_KEYS
from archspec.language.misplaced import explain_let, is_empty
from archspec.language.names import (
    FORMER,
    MERGES,
    MODIFIERS,
    MODIFIERS_BY_WORD,
    WIRES,
    check_part,
    check_tensor,
)
from archspec.language.node_words import NodeWordGrammar
from archspec.language.parts import is_number
from archspec.language.syntax import Again, Aux, Body, Call, Expression, For, Invalid, Let, Sequence, SyntaxNode, Wire


class Grammar(NodeWordGrammar):
    """Parses bodies whose formulas see the variables `visible`: those of the file, or the arguments of a `block`."""

    def parse(self, key: str, mark: Mark, value: Value) -> SyntaxNode:
        """A body: a list of nodes, a mapping of named parts, or a single node.

        `key` is what names it above: a part, a branch, or nothing for the body of a network, block or loop.
        """
        if isinstance(value, Mapping) and not self._is_node(value):
            return SyntaxNode(key, mark, self._parse_parts(value))
        return self._parse_node(key, value)

    # --- sequences -----------------------------------------------------------------------------------------------

    def _parse_nodes(self, values: tuple[Value, ...]) -> tuple[SyntaxNode, ...]:
        nodes = []
        with self._values_of_let() as new:
            for index, value in enumerate(values):
                if len(values) > 1 and is_empty(value):
                    message = "an empty list among nodes changes nothing, and nodes follow one another"
                    help = "for branches, name the merge above them: `- add:`; or leave the empty list out"
                    self.report.add(Fault("node-form", message, value.mark, help=help))
                if isinstance(value, Mapping) and list(value.entries) == ["let"]:
                    nodes.append(self._let_node(str(index), *value.entries["let"], new))
                else:
                    nodes.append(self._parse_node(str(index), value))
        if nodes and isinstance(nodes[-1].body, Let) and nodes[-1].body.body is None:
            self.report.add(explain_let(nodes[-1].mark))
        return self._drop_repeated(nodes)

    def _let_node(self, key: str, mark: Mark, value: Value, new: dict[str, Mark]) -> SyntaxNode:
        try:
            let, names = self._parse_let(value)
        except Fault as fault:
            self.report.add(fault, mark)
            return SyntaxNode(key, mark, Invalid(mark))
        new.update(names)
        return SyntaxNode(key, mark, let)

    def _drop_repeated(self, nodes: list[SyntaxNode]) -> tuple[SyntaxNode, ...]:
        """The steps, less those whose name an earlier one has."""
        taken: dict[str, SyntaxNode] = {}
        for node in nodes:
            if node.key in taken:
                message = f"two parts are named `{node.key}`; the first is in line {taken[node.key].mark.line}"
                self.report.add(Fault("duplicate-name", message, node.mark))
                node = replace(taken[node.key], body=Invalid(node.mark, frozenset([None])))
            taken[node.key] = node
        return tuple(taken.values())

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _parse_node(self, key: str, value: Value) -> SyntaxNode:
        try:
            return self._read_node(key, value)
        except Fault as fault:
            self.report.add(fault, value.mark)
            return SyntaxNode(key, value.mark, make_invalid(value.mark, value))

    def _read_node(self, key: str, value: Value) -> SyntaxNode:
        """A node in its place. Raises `Fault` where it cannot be understood."""
        if isinstance(value, List):
            first = value.items[0] if value.items else value
            if is_number(first) or (isinstance(first, List) and first.items and all(map(is_number, first.items))):
                help = "a layer stands by its name, with its arguments: `- conv: {out: 64, kernel: 3}`"
                raise Fault("node-form", "a node is no row of numbers and names", value.mark, help=help)
            return SyntaxNode(key, value.mark, Sequence(value.mark, self._parse_nodes(value.items)))
        if isinstance(value, Mapping):
            return self._read_mapping(key, value)
        assert isinstance(value, Scalar)
        if not isinstance(value.value, str):
            shown = "nothing" if value.value is None else f"`{value.text}`"
            cure = "name a layer, or leave it out; `[]` is a branch that changes nothing"
            hint = cure if value.value is None else join_hint(value)
            raise Fault("node-form", f"a node is a name, a mapping or a list, not {shown}", value.mark, help=hint)
        if value.value.startswith("="):
            return SyntaxNode(key, value.mark, self._parse_use(value.mark, value, Mapping(value.mark, {})))
        return SyntaxNode(key, value.mark, self._parse_call(value.value, value.mark, None))

    def _read_mapping(self, key: str, value: Mapping) -> SyntaxNode:
        value = self._rename_former(value)
        if not self._words(value) and "share" in value.entries:
            return self._read_again(key, value)
        node_word = self._find_node_word(value)
        mark, inner = value.entries[node_word]
        name = value.entries.get("name")
        allowed = MODIFIERS_BY_WORD.get(node_word, MODIFIERS)
        for word, (at, _) in value.entries.items():
            if word in MODIFIERS and word not in allowed:
                help = f"beside it may stand {join_words(allowed)}" if allowed else "nothing stands beside it"
                raise Fault("key-unknown", f"`{word}` has no meaning beside `{node_word}`", at, help=help)
        if name:
            key = self._parse_name(key, name[1])
        before = self.report.count
        when, repeat = self._parse_modifier("when", value), self._parse_modifier("repeat", value)
        with self._loop("repeat" in value.entries):
            recompute, init = self._parse_modifier("recompute", value), self._parse_init(value)
            share = self._parse_share(value)
            failed = self.report.count > before
            body: Body
            if node_word in MERGES:
                body = self._parse_merge(mark, node_word, inner, value)
            elif node_word == "for":
                body = self._parse_for(mark, inner, value)
            elif node_word in WIRES:
                body = self._parse_wire(mark, node_word, inner)
            elif node_word == "let":
                raise explain_let(mark)
            elif node_word == "aux":
                body = self._parse_aux(mark, inner)
                if isinstance(body, Aux) and body.name.constant and (not key or key.isdigit()):
                    key = body.name.data
            elif node_word == "use":
                body = self._parse_use(mark, inner, value)
            else:
                body = self._parse_call(node_word, mark, inner)
            if isinstance(body, Call):
                body = self._add_names(body, value)
        if failed or isinstance(body, Invalid):
            callee = node_word if node_word in ("aux", "save", "output") else ""
            callee = body.callee if isinstance(body, Invalid) and body.callee else callee
            return SyntaxNode(key, mark, replace(make_invalid(mark, value), callee=callee))
        return SyntaxNode(key, mark, body, when, repeat, init, recompute, share)

    def _read_again(self, key: str, value: Mapping) -> SyntaxNode:
        """`share: NAME` without a layer: the node that was shared under this name, once more. Raises `Fault`."""
        mark, _ = value.entries["share"]
        if "init" in value.entries:
            help = "put it beside the first one, whose weights these are"
            raise Fault(
                "key-unknown", "`init` has no meaning beside `share` alone", value.entries["init"][0], help=help
            )
        if name := value.entries.get("name"):
            key = self._parse_name(key, name[1])
        before = self.report.count
        when, repeat = self._parse_modifier("when", value), self._parse_modifier("repeat", value)
        with self._loop("repeat" in value.entries):
            recompute, share = self._parse_modifier("recompute", value), self._parse_share(value)
        body: Body = Invalid(mark) if self.report.count > before else Again(mark)
        return SyntaxNode(key, mark, body, when, repeat, None, recompute, share)

    def _rename_former(self, mapping: Mapping) -> Mapping:
        """The node with modifiers by what they are called now. Raises `Fault` where one stands by both its names."""
        for former, now in FORMER.items():
            if former not in mapping.entries:
                continue
            mark, _ = mapping.entries[former]
            if now in mapping.entries:
                message = f"`{former}` is what `{now}` was called before, and `{now}` stands here too"
                raise Fault("key-unknown", message, mark, help=f"leave `{former}` out")
            self.report.note(f"`{former}` is now called `{now}`", mark)
            mapping = Mapping(mapping.mark, {now if key == former else key: e for key, e in mapping.entries.items()})
        return mapping

    def _parse_name(self, key: str, value: Value) -> str:
        if key and not key.isdigit():
            raise Fault("key-unknown", f"`name` has no meaning here: the key `{key}` names this part", value.mark)
        if not key:
            raise Fault(
                "key-unknown", "`name` belongs to a node in a list", value.mark, help="put `- ` before the node"
            )
        if not (isinstance(value, Scalar) and isinstance(value.value, str)):
            raise Fault("type-mismatch", "`name` must be a word", value.mark)
        check_part(value.value, value.mark)
        return value.value

    def _parse_modifier(self, word: str, mapping: Mapping) -> Expression | None:
        value = mapping.get(word)
        if value is None:
            return None
        made = self._parse_expression(value)
        if made.constant:
            fault = fault_in(made.data, keywords.MODIFIERS[word].schema, f"`{word}`")
            if fault:
                if isinstance(made.data, str) and self._reads_as_formula(made.data):
                    fault.help = f"a formula begins with `=`: did you mean `={made.data}`?"
                elif hint := number_hint(made.data, keywords.MODIFIERS[word].schema):
                    fault.help = hint
                self.report.add(fault, value.mark)
                return None
        return made

    def _parse_share(self, mapping: Mapping) -> Expression | None:
        """The name that nodes share. Raises `Fault`."""
        value = mapping.get("share")
        if value is None:
            return None
        if not (isinstance(value, Scalar) and isinstance(value.value, str)):
            raise Fault("type-mismatch", "`share` needs a name", value.mark, help="write `share: head`, say")
        name = self._parse_expression(value)
        if name.constant:
            check_tensor(value.value, value.mark, "a shared node's name")
        return name

    def _parse_init(self, mapping: Mapping) -> Expression | None:
        """Initial values for the layers of one node, in the form of the file's `init`."""
        value = mapping.get("init")
        if value is None:
            return None
        for fault in faults(value, section_schema("init"), "init"):
            if fault.code == "key-unknown" and isinstance(value, Mapping) and {"weight", "bias"} & value.entries.keys():
                fault.help = "`init` names the layer first: `init: {conv: {weight: …}}`"
            self.report.add(fault)
        return self._parse_expression(value)

    # --- loops and named tensors ------------------------------------------------------------------------

    def _parse_for(self, mark: Mark, value: Value, mapping: Mapping) -> For | Invalid:
        body = mapping.get("body")
        if body is None:
            raise Fault("key-missing", "`for` needs a `body`", mark, help="add `body:`, a list of nodes")
        if is_left_empty(body):
            help = "what is repeated stands below it, indented, as a list: `- relu`"
            raise Fault("node-form", "`body` is left empty", mapping.entries["body"][0], help=help)
        before = self.report.count
        columns, table = self._parse_rows(value)
        failed = self.report.count > before
        read = len(self.reads)
        with self._loop(True, [*columns, *(table.names if table else ())]), self._values_of_let() as new:
            let = mapping.get("let")
            values = self._let_node("", let.mark, let, new).body if let else None
            around, self.unnamed_rows = self.unnamed_rows, table is None and "rows" in columns
            passed = self.parse("", body.mark, body)
            self._note_unread_columns(value, read)
            self.unnamed_rows = around
            if isinstance(values, Let):
                passed = SyntaxNode("", passed.mark, Let(passed.body.mark, values.values, passed))
            loop = For(mark, columns, passed, table)
            failed = failed or isinstance(values, Invalid)
        return Invalid(mark) if failed else loop

    def _parse_wire(self, mark: Mark, kind: str, value: Value) -> Wire | Invalid:
        if not (isinstance(value, Scalar) and isinstance(value.value, str)):
            help = f"write `{kind}: features`, say"
            if kind == "load" and isinstance(value, List):
                help = "several tensors are branches of a merge: `concat: {load: [fine, coarse]}`"
            raise Fault("type-mismatch", f"`{kind}` needs a name", value.mark, help=help)
        before = self.report.count
        name = self._parse_expression(value)
        if name.constant:
            check_tensor(value.value, value.mark)
        if value.value in self.columns:
            self.report.note(
                f"`{value.value}` is the name itself here; the column's value is `={value.value}`", value.mark
            )
        return Invalid(mark) if self.report.count > before else Wire(mark, kind, name)

    def _add_names(self, call: Call, mapping: Mapping) -> Call:
        """The call with the names of tensors that stand beside it. Raises `Fault`."""
        given: dict[str, Expression | None] = dict.fromkeys(("load", "save"))
        for word in given:
            value = mapping.get(word)
            if value is None:
                continue
            names = value.items if isinstance(value, List) else [value]
            if not names:
                raise Fault("type-mismatch", f"`{word}` beside a block needs a list of names", value.mark)
            for name in names:
                if not (isinstance(name, Scalar) and isinstance(name.value, str)):
                    raise Fault("type-mismatch", f"`{word}` beside a block needs a list of names", name.mark)
                if not name.value.startswith("="):
                    check_tensor(name.value, name.mark)
            given[word] = self._parse_expression(value)
        return replace(call, loads=given["load"], saves=given["save"])

    def _parse_aux(self, mark: Mark, value: Value) -> Aux | Invalid:
        """`{name, weight, body}`."""
        if not isinstance(value, Mapping):
            raise Fault("type-mismatch", "`aux` must be a mapping of `name`, `weight` and `body`", value.mark)
        before = self.report.count
        for word, (at, _) in value.entries.items():
            if word not in _AUX:
                hint = did_you_mean(word, _AUX) or f"its keys are {join_words(_AUX)}"
                self.report.add(Fault("key-unknown", f"`{word}` has no meaning in `aux`", at, help=hint))
        for word in _AUX:
            if word not in value.entries:
                self.report.add(Fault("key-missing", f"`aux` needs `{word}`", mark))
        if self.report.count > before:
            return Invalid(mark)
        name, weight, body = (value.entries[word][1] for word in _AUX)
        if not (isinstance(name, Scalar) and isinstance(name.value, str)):
            raise Fault("type-mismatch", "the `name` of an `aux` must be a word", name.mark)
        given = self._parse_expression(name)
        if given.constant:
            check_part(name.value, name.mark)
        counts = self._parse_expression(weight)
        if counts.constant and (fault := fault_in(counts.data, WEIGHT, "the `weight` of an `aux`")):
            fault.mark = weight.mark
            raise fault
        aux = Aux(mark, given, counts, self.parse("", body.mark, body))
        return Invalid(mark) if self.report.count > before else aux


_AUX = tuple(AUX_KEYS)
WEIGHT = AUX_KEYS["weight"].schema
"""What the weight of an auxiliary classifier's loss may be."""
