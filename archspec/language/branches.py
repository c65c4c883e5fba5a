"""The grammar of merges: their branches, written one by one, by a loop, or by a `load` of several tensors."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from archspec.foundation.arguments import fault_in
from archspec.foundation.errors import Fault, Mark
from archspec.foundation.source import List, Mapping, Scalar, Value
from archspec.foundation.spelling import did_you_mean
from archspec.foundation.values import describe
from archspec.language.foreign import number_hint
from archspec.language.keywords import ATTENTION, BRANCH_KEYS, COMPANIONS
from archspec.language.loops import LoopGrammar, count_rows
from archspec.language.names import MODIFIER_WORDS, ROLES, check_part, check_tensor
from archspec.language.syntax import Expression, For, Invalid, Merge, Sequence, SyntaxNode, Wire


class BranchGrammar(LoopGrammar):
    """Parses merges, whose branches are bodies."""

    @abstractmethod
    def parse(self, key: str, mark: Mark, value: Value) -> SyntaxNode:
        """A body."""

    @abstractmethod
    def _is_node(self, mapping: Mapping) -> bool:
        """Whether a mapping as a body is one node."""

    @abstractmethod
    def _is_node_word(self, word: str) -> bool:
        """Whether a key stands for a layer, block or role, or is a word of the language."""

    @abstractmethod
    def _names_node(self, value: Scalar) -> bool:
        """Whether a value is the name of a layer or block, or a formula."""

    @abstractmethod
    def _reads_as_layer(self, key: str, value: Value) -> bool:
        """Whether a part is named like a layer and holds arguments or branches where nodes should stand."""

    @abstractmethod
    def _drop_repeated(self, nodes: list[SyntaxNode]) -> tuple[SyntaxNode, ...]:
        """The nodes without those whose name an earlier one has."""

    @abstractmethod
    def _parse_modifier(self, word: str, mapping: Mapping) -> Expression | None:
        """What stands beside a node under a modifier's name."""

    def _parse_merge(self, mark: Mark, node_word: str, value: Value, beside: Mapping) -> Merge | Invalid:
        """A merge, with the `split` and `axis` that stand beside it."""
        before = self.report.count
        split, axis = (self._parse_beside(word, beside) for word in ("split", "axis"))
        given = {word: self._parse_beside(word, beside) for word in (ATTENTION if node_word == "attend" else ())}
        if axis and not split and node_word != "concat" and self.report.count == before:
            message = f"`axis` has no meaning beside `{node_word}` without `split`"
            help = "`reduce: {by: mean, axis: 1}` takes the mean along an axis" if node_word == "mean" else None
            self.report.add(Fault("key-unknown", message, beside.entries["axis"][0], help=help))
        failed = self.report.count > before
        merge = self._parse_joined(mark, node_word, value, is_split=split is not None)
        if failed or isinstance(merge, Invalid):
            return Invalid(mark)
        attention = {word: one for word, one in given.items() if one}
        return replace(merge, split=split, axis=axis, attention=attention)

    def _parse_beside(self, word: str, beside: Mapping) -> Expression | None:
        value = beside.get(word)
        if value is None:
            return None
        made = self._parse_expression(value)
        if made.constant and (fault := find_fault_beside(word, made.data)):
            self.report.add(fault, value.mark)
        return made

    def _parse_joined(self, mark: Mark, node_word: str, value: Value, *, is_split: bool) -> Merge | Invalid:
        if not (isinstance(value, Mapping) and "for" in value.entries and self._is_node(value)):
            return Merge(mark, node_word, self._parse_branches(mark, node_word, value, is_split=is_split))
        for word in MODIFIER_WORDS:
            if word in value.entries:
                message = f"`{word}` has no meaning beside a `for` that makes branches"
                help = f"put it beside `{node_word}`, or within `body`"
                raise Fault("key-unknown", message, value.entries[word][0], help=help)
        loop = self._parse_node("", value)
        if isinstance(loop.body, Invalid):
            return loop.body
        assert isinstance(loop.body, For)
        if count_rows(loop.body) == {1}:
            self.report.add(self._explain_single(node_word, mark, None))
        return Merge(mark, node_word, (loop,), looped=True)

    def _parse_branches(self, mark: Mark, node_word: str, value: Value, *, is_split: bool) -> tuple[SyntaxNode, ...]:
        if isinstance(value, Mapping) and list(value.entries) == ["load"]:
            loads = self._parse_branch("", mark, value)
            if isinstance(loads.body, Wire) and loads.body.name.constant and not _names_several(loads.body):
                self.report.add(self._explain_single(node_word, mark, None))
            return (loads,)
        if isinstance(value, List):
            entries = [(str(i), item.mark, item) for i, item in enumerate(value.items)]
        elif isinstance(value, Mapping) and not self._is_node(value):
            parts = self._list_branches(value)
            if parts is None:
                return ()
            entries = parts
        else:
            given = value.text if isinstance(value, Scalar) and value.text.startswith("=") else ""
            help = f"write `{node_word}: {_EXAMPLES.get(node_word, '[[], relu]')}`, or indent the branches below it"
            if given:
                help = f"of layers, write `{node_word}: {{for: {{layer: {given}}}, body: =layer}}`; "
                help += f"of saved tensors, `{node_word}: {{load: {given}}}`"
            message = f"`{node_word}` needs branches: a list, or a mapping that names them"
            raise Fault("node-form", message, value.mark, help=help)
        if not entries:
            help = f"write `{node_word}: {_EXAMPLES.get(node_word, '[[], relu]')}`, say; `[]` changes nothing"
            raise Fault("branch-missing", f"`{node_word}` has no branches", value.mark, help=help)
        branches = [self._parse_branch(*entry) for entry in entries]
        if len(branches) > 1 and not is_split and isinstance(value, List):
            self._note_loops(node_word, value)
        single = len(branches) == 1 and branches[0].when is None
        if single and not (isinstance(branches[0].body, Wire) and _names_several(branches[0].body)):
            self.report.add(self._explain_single(node_word, mark, branches[0]))
        different = node_word in _OF_DIFFERENT or (node_word == "multiply" and len(branches) > 2)  # of two, a square
        if different and not is_split and (again := _find_again(branches)):
            message = f"`{node_word}` joins the same tensor twice"
            help = "leave one of the branches out"
            if len(branches) == 2:
                help = f"put a layer into one of them, or leave the `{node_word}` out"
            self.report.add(Fault("node-form", message, again.mark, help=help))
        if node_word == "attend":
            check_attended([branch.key for branch in branches], [branch.mark for branch in branches])
        return self._drop_repeated(branches)

    def _note_loops(self, node_word: str, value: List) -> None:
        """Note loops that stand among branches, and may be meant to make a branch of each pass."""
        for item in value.items:
            if isinstance(item, Mapping) and "for" in item.entries:
                message = "this loop is one branch, in which its passes follow one another, as in "
                message += "`- [{for: …, body: …}]`; "
                message += f"`- {node_word}: {{for: …, body: …}}` makes a branch of each pass"
                self.report.note(message, item.mark)

    def _explain_single(self, node_word: str, mark: Mark, branch: SyntaxNode | None) -> Fault:
        """The fault of a merge whose one branch has nothing to be joined with."""
        help = f"what reaches `{node_word}` is no branch by itself: write `[]` for a branch that leaves it as it is"
        notes = []
        if branch and isinstance(branch.body, Sequence) and len(branch.body.nodes) == 1:
            branch = branch.body.nodes[0]
        if branch and (isinstance(branch.body, For) or branch.repeat):
            notes = ["a loop makes no branches: its passes follow one another"]
            written = f"`{node_word}: {{for: {{kernel: [1, 3, 5]}}, body: […]}}`"
            help = f"for a branch of each pass, write {written}: `for` and `body` right below `{node_word}`"
        return Fault(
            "branch-missing", f"`{node_word}` has one branch, and joins two or more", mark, notes=notes, help=help
        )

    def _list_branches(self, mapping: Mapping) -> list[tuple[str, Mark, Value]] | None:
        plain = {key for key in mapping.entries if not self._is_node_word(key)}
        for key, (mark, value) in mapping.entries.items():
            signature = self.vocabulary.signature(key)
            others = len(plain) > (key in plain)
            needy = signature is not None and any(argument.required for argument in signature.arguments)
            named = needy or signature is None or others
            if named and len(mapping.entries) > 1 and isinstance(value, Scalar) and value.value is None:
                help = f"write `{key}: []` for a branch that changes nothing"
                raise Fault("node-form", f"the branch `{key}` is left empty", mark, help=help)
            if (
                key in ("split", "axis", "heads", "causal")
                and isinstance(value, Scalar)
                and not self._names_node(value)
            ):
                help = f"indent it as the merge itself: `- {{concat: […], {key}: {value.text}}}`"
                raise Fault("key-unknown", f"`{key}` stands beside a merge, not among its branches", mark, help=help)
            if key in ROLES and isinstance(value, Scalar) and self._names_node(value):
                message = f"`{key}: {value.text}` stands among the branches, and would be one of them"
                raise Fault(
                    "key-unknown", message, mark, help=f"after the merge, write `- {value.text}` as the next node"
                )
            if key == "let":
                help = "put `- let: …` before the merge, in the same list"
                raise Fault("key-unknown", "`let` has no meaning among branches", mark, help=help)
            as_branch = others and isinstance(value, Scalar) and isinstance(value.value, str)
            if self._reads_as_layer(key, value) and not as_branch:
                raise Fault(
                    "mapping-for-list",
                    f"a mapping names the branches of a merge, but `{key}` is a layer",
                    mark,
                    help=f"make it a list: put `- ` before `{key}` and the others",
                )
            check_part(key, mark)
        return [(key, mark, value) for key, (mark, value) in mapping.entries.items()]

    def _parse_branch(self, key: str, mark: Mark, value: Value) -> SyntaxNode:
        """A branch: a body, or `{when: …, body: …}`."""
        if isinstance(value, Mapping) and "body" in value.entries and "for" not in value.entries:
            for word, (at, _) in value.entries.items():
                if word not in BRANCH_KEYS:
                    hint = did_you_mean(word, BRANCH_KEYS)
                    self.report.add(Fault("key-unknown", f"`{word}` has no meaning in a branch", at, help=hint))
            try:
                when = self._parse_modifier("when", value)
            except Fault as fault:
                self.report.add(fault, value.mark)
                when = None
            node = self.parse(key, mark, value.entries["body"][1])
            if node.when and when:
                message = "a branch has one `when`, but a second one stands here"
                self.report.add(Fault("key-unknown", message, node.when.mark))
            return replace(node, when=when or node.when)
        if isinstance(value, Mapping) and isinstance(value.get("load"), List) and self._is_node(value):
            return self._parse_loads(key, value)
        return self.parse(key, mark, value)

    def _parse_loads(self, key: str, mapping: Mapping) -> SyntaxNode:
        """A `load` of a list of names, each of which is a branch."""
        mark, names = mapping.entries["load"]
        before = self.report.count
        when = None
        try:
            for word in mapping.entries:
                if word not in ("load", "when"):
                    message = f"`{word}` has no meaning beside a `load` of several tensors"
                    raise Fault("key-unknown", message, mapping.entries[word][0], help="beside it may stand `when`")
            when, made = self._parse_modifier("when", mapping), self._parse_expression(names)
            for item in names.items if isinstance(names, List) else ():
                if not (isinstance(item, Scalar) and isinstance(item.value, str)):
                    raise Fault("type-mismatch", "`load` needs a list of names", item.mark)
                if not item.value.startswith("="):
                    check_tensor(item.value, item.mark)
            if self.report.count == before:
                return SyntaxNode(key, mark, Wire(mark, "load", made), when)
        except Fault as fault:
            self.report.add(fault, mark)
        return SyntaxNode(key, mark, make_invalid(mark, mapping))


def find_fault_beside(word: str, value: Any) -> Fault | None:
    """What is wrong with the value of what stands beside a merge, such as `split`."""
    fault = fault_in(value, COMPANIONS[word].schema, f"`{word}`")
    if fault is None or word != "split":
        if fault is not None:
            fault.help = fault.help or number_hint(value, COMPANIONS[word].schema)
            if word == "axis" and not (isinstance(value, int) and value > 0):
                fault.help = "axes are counted from 0, without the batch: channels are 0"
        return fault
    help = "the parts are as many as the branches" if isinstance(value, int) else None
    return Fault(fault.code, f"`split` is `equal`, or a list of sizes from 1, not {describe(value)}", help=help)


_EXAMPLES = {"attend": "{query: [], key: [], value: []}", "matmul": "{maps: [], others: [permute: [0, 2, 1]]}"}
"""Branches of merges that do not join any two tensors."""

_ROLES_OF_ATTEND = {"q": 0, "quer": 0, "k": 1, "key": 1, "v": 2, "value": 2, "bias": 3}
"""Where the branches of `attend` stand, by how their names begin; of one letter, by the whole name."""


def check_attended(names: list[str], marks: list[Mark]) -> None:
    """Refuse branches of `attend` that are named for queries, keys and values in another order. Raises `Fault`."""
    for at, (name, mark) in enumerate(zip(names, marks, strict=True)):
        word = name.lower()
        place = next(
            (
                at
                for known, at in _ROLES_OF_ATTEND.items()
                if word == known or (len(known) > 1 and word.startswith(known))
            ),
            at,
        )
        if place != at:
            message = f"`attend` takes queries, keys and values in this order, but `{name}` is number {at + 1}"
            help = "the order counts, not the names: write `{query: …, key: …, value: …}`"
            raise Fault("node-form", message, mark, help=help)


_OF_DIFFERENT = ("add", "subtract", "mean", "maximum")
"""Merges that nobody writes of one tensor and itself: twice its value, zero, or the tensor as it is."""


def _find_again(branches: list[SyntaxNode]) -> SyntaxNode | None:
    """The first branch that is the tensor of an earlier one: both leave theirs as it is, or load the same."""
    seen: set[str] = set()
    for branch in branches:
        body = branch.body
        if isinstance(body, Sequence) and len(body.nodes) == 1:
            body = body.nodes[0].body
        name = None
        if isinstance(body, Sequence) and not body.nodes:
            name = ""
        elif isinstance(body, Wire) and body.kind == "load" and isinstance(body.name.data, str):
            name = body.name.data
        if branch.when is None and name is not None:
            if name in seen:
                return branch
            seen.add(name)
    return None


def _names_several(load: Wire) -> bool:
    """Whether a `load` may take more than one tensor: a list does, and a formula can give one."""
    return load.kind == "load" and (
        load.name.is_formula or (isinstance(load.name.data, list) and len(load.name.data) > 1)
    )


def make_invalid(mark: Mark, value: Value) -> Invalid:
    """What stands in the place of a value that is no node, with the tensors that it would have saved or loaded."""
    names: set[str | None] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, List):
            waiting += one.items
        for key, (_, inner) in one.entries.items() if isinstance(one, Mapping) else ():
            waiting.append(inner)
            for named in (inner.items if isinstance(inner, List) else [inner]) if key in ("save", "load") else ():
                name = named.value if isinstance(named, Scalar) else None
                names.add(name if isinstance(name, str) and not name.startswith("=") else None)
    return Invalid(mark, frozenset(names))
