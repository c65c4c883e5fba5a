"""The grammar of parts: a mapping whose keys name what follows one another, and what is written in its place."""

from __future__ import annotations

from abc import abstractmethod

from archspec.foundation.errors import Fault, Mark, join_words
from archspec.foundation.source import List, Mapping, Scalar, Value, is_left_empty
from archspec.foundation.spelling import did_you_mean
from archspec.language.branches import BranchGrammar, make_invalid
from archspec.language.foreign import layer_hint
from archspec.language.misplaced import count_of, doubt_parts, explain_body, explain_let, find_branch
from archspec.language.names import (
    COMPANIONS_BY_WORD,
    MERGES,
    MODIFIER_WORDS,
    NODE_WORDS,
    ROLES,
    WIRES,
    check_part,
)
from archspec.language.syntax import Body, Let, Sequence, SyntaxNode


class PartGrammar(BranchGrammar):
    """Parses mappings of named parts, and explains what was meant otherwise."""

    @abstractmethod
    def _let_node(self, key: str, mark: Mark, value: Value, new: dict[str, Mark]) -> SyntaxNode:
        """A `let` in its place among nodes, the names of which are added to `new`."""

    def _is_node(self, mapping: Mapping) -> bool:
        """Whether a mapping as a body is one node: one key that is a node word, the others modifiers."""
        words = self._words(mapping)
        return (len(words) == 1 and self._is_node_word(words[0])) or (not words and "share" in mapping.entries)

    def _words(self, mapping: Mapping) -> list[str]:
        """A mapping's keys without modifiers and what belongs to its node words: of a node, its node word."""
        companions = {key for word, keys in COMPANIONS_BY_WORD.items() if word in mapping.entries for key in keys}
        words = [key for key in mapping.entries if key not in MODIFIER_WORDS and key not in companions]
        if len(words) > 1 and ("load" in words or "save" in words):  # the names of tensors beside a block
            others = [word for word in words if word not in ("load", "save")]
            if len(others) == 1 and self._has_tensors(others[0]):
                return others
        return words

    def _has_tensors(self, word: str) -> bool:
        """Whether it names a block that takes or gives tensors by name, or may do so."""
        signature = self.vocabulary.signature(word)
        return word == "use" or (signature is not None and bool(signature.inputs or signature.outputs))

    def _is_node_word(self, word: str) -> bool:
        return word in NODE_WORDS or word in ROLES or self.vocabulary.signature(word) is not None

    def _parse_parts(self, mapping: Mapping) -> Body:
        """A mapping as a body: a sequence with named parts."""
        if fault := self._find_unindented(mapping):
            self.report.add(fault)
            return make_invalid(mapping.mark, mapping)
        for word in MODIFIER_WORDS:
            if word in mapping.entries:
                words = self._words(mapping)
                if words == ["body"]:
                    self.report.add(explain_body(mapping))
                    return make_invalid(mapping.mark, mapping)
                inner = mapping.entries[words[0]][1] if len(words) == 1 else None
                if inner is not None and not (
                    isinstance(inner, List) or (isinstance(inner, Mapping) and self._is_node(inner))
                ):
                    self.report.add(self._explain_unknown(words[0], mapping.entries[words[0]][0]))
                    return make_invalid(mapping.mark, mapping)
                message = f"`{word}` belongs to one node, but this mapping names parts"
                help = "put the parts in a node of a list, or `when` beside `body` in a branch"
                if word == "repeat":
                    rows = f"`for: {{i: =range({count_of(mapping)})}}`"
                    help = f"for several nodes, write {rows}, and the parts under `body`"
                self.report.add(Fault("key-unknown", message, mapping.entries[word][0], help=help))
                return make_invalid(mapping.mark, mapping)
        named = {key: value for key, (_, value) in mapping.entries.items() if key != "let"}
        layers = [key for key, value in named.items() if self._reads_as_layer(key, value)]
        if layers:
            help = f"make it a list: put `- ` before `{layers[0]}` and the others"
            before = list(named)[: list(named).index(layers[0])]
            if before and is_left_empty(named[before[-1]]) and not self._is_node_word(before[-1]):
                help = f"what belongs to `{before[-1]}` stands below it, indented, as a list: `- {layers[0]}: …`"
            self.report.add(
                Fault(
                    "mapping-for-list",
                    f"a mapping names the parts of a sequence, but {join_words(layers)} "
                    + ("is a layer" if len(layers) == 1 else "are layers"),
                    mapping.entries[layers[0]][0],
                    help=help,
                )
            )
            return make_invalid(mapping.mark, mapping)
        if fault := self._find_mistyped(mapping) or find_branch(mapping):
            self.report.add(fault)
            return make_invalid(mapping.mark, mapping)
        if doubt := doubt_parts(mapping):
            self.report.note(doubt, next(iter(mapping.entries.values()))[0])
        with self._values_of_let() as new:
            parts = []
            for key, (mark, value) in mapping.entries.items():
                part = self._parse_part(key, mark, value) if key != "let" else self._let_node(key, mark, value, new)
                parts.append(part)
        if parts and isinstance(parts[-1].body, Let) and parts[-1].body.body is None:
            self.report.add(explain_let(parts[-1].mark))
        return Sequence(mapping.mark, tuple(parts))

    def _reads_as_layer(self, key: str, value: Value) -> bool:
        """Whether a part is named like a layer and holds arguments or branches where nodes should stand."""
        if key in WIRES:
            return isinstance(value, Scalar) and not self._names_node(value)
        if key == "aux":
            return isinstance(value, Mapping) and "body" in value.entries
        if key in NODE_WORDS and isinstance(value, (List, Mapping)):
            return not (isinstance(value, Mapping) and self._is_node(value))
        if not self._is_node_word(key) or isinstance(value, List):
            return False
        if isinstance(value, Mapping):
            signature = self.vocabulary.signature(key)
            return not self._is_node(value) and bool(signature) and any(k in signature.by_name for k in value.entries)  # type: ignore[union-attr]
        assert isinstance(value, Scalar)
        return not self._names_node(value)

    def _names_node(self, value: Scalar) -> bool:
        return isinstance(value.value, str) and (self._is_node_word(value.value) or value.value.startswith("="))

    def _parse_part(self, name: str, mark: Mark, value: Value) -> SyntaxNode:
        try:
            check_part(name, mark)
            if (
                is_left_empty(value)
                and not self._is_node_word(name)
                and not did_you_mean(name, self.vocabulary.words())
            ):
                help = "its nodes stand below it, indented; or leave it out"
                raise Fault("node-form", f"the part `{name}` is left empty", mark, help=help)
            if not self._is_node_word(name) and self._looks_like_arguments(value):
                raise self._explain_misplaced(name, mark, value)
        except Fault as fault:
            self.report.add(fault)
            return SyntaxNode(name, mark, make_invalid(mark, value))
        return self.parse(name, mark, value)

    def _explain_misplaced(self, name: str, mark: Mark, value: Value) -> Fault:
        """The fault of a part that holds arguments, or a mapping of layers, where nodes should stand."""
        inner = value.entries if isinstance(value, Mapping) else {}
        layers = [key for key in inner if self._is_node_word(key)]
        near = did_you_mean(name, (*self.vocabulary.words(), *NODE_WORDS), cutoff=0.8 if layers else 0.65)
        own = [key for key in inner if key not in MODIFIER_WORDS]
        if len(own) == 1 and did_you_mean(own[0], self.vocabulary.words(), cutoff=0.75):
            return self._explain_unknown(own[0], inner[own[0]][0])  # the layer within is what was mistyped
        if isinstance(value, Mapping) and (fault := self._find_unindented(value)):
            return fault
        if layers and not near:
            help = f"make what stands under `{name}` a list: put `- ` before `{layers[0]}` and the others"
            message = f"a mapping names the parts of `{name}`, but {join_words(layers)} "
            return Fault(
                "mapping-for-list", message + ("is a layer" if len(layers) == 1 else "are layers"), mark, help=help
            )
        if not near and len(own) == 1 and did_you_mean(own[0], self.vocabulary.words()):
            return self._explain_unknown(own[0], inner[own[0]][0])
        return self._explain_unknown(name, mark)

    def _find_unindented(self, mapping: Mapping) -> Fault | None:
        """The fault of arguments that stand beside their layer, not below it."""
        for name, (_, value) in mapping.entries.items():
            signature = self.vocabulary.signature(name) if is_left_empty(value) else None
            given = [key for key in mapping.entries if key in signature.by_name] if signature else []
            if given and not self._is_node_word(given[0]):
                help = f"indent the arguments of `{name}`, or write `{name}: {{{given[0]}: …}}`"
                message = f"`{given[0]}` stands beside `{name}`, not below it"
                return Fault("key-unknown", message, mapping.entries[given[0]][0], help=help)
        return None

    def _find_mistyped(self, mapping: Mapping) -> Fault | None:
        """The fault of a lone part that reads as a merge or layer whose name is mistyped."""
        if len(mapping.entries) != 1:
            return None
        ((name, (mark, value)),) = mapping.entries.items()
        if self._is_node_word(name) or isinstance(value, Scalar):
            return None
        branches = isinstance(value, Mapping) and self._reads_as_branches(value)
        branches = branches or (isinstance(value, List) and any(isinstance(v, List) for v in value.items))
        words = (*self.vocabulary.words(), *NODE_WORDS)
        near = did_you_mean(name, words, cutoff=0.8) if not name[-1].isdigit() else None
        if branches:
            near = did_you_mean(name, MERGES, cutoff=0.5) or near
        if not near and (not branches or (isinstance(value, Mapping) and self._explains_itself(value))):
            return None
        known = (
            near
            or layer_hint(name)
            or f"a merge is one of {join_words(MERGES)}; a part that stands alone needs no name"
        )
        return Fault("name-unknown", f"there is no merge or layer `{name}`", mark, help=known)

    def _explains_itself(self, mapping: Mapping) -> bool:
        """Whether what is wrong with a mapping of parts is said where it is parsed."""
        layers = any(self._reads_as_layer(key, value) for key, (_, value) in mapping.entries.items())
        return layers or find_branch(mapping) is not None

    def _reads_as_branches(self, mapping: Mapping) -> bool:
        plain = not any(is_quantity(inner) for _, inner in mapping.entries.values())
        return plain and not self._is_node(mapping) and len(self._words(mapping)) == len(mapping.entries) > 1

    def _looks_like_arguments(self, value: Value) -> bool:
        if isinstance(value, Mapping):
            arguments = [inner for key, (_, inner) in value.entries.items() if key not in MODIFIER_WORDS]
            return not self._is_node(value) and any(map(is_quantity, arguments))
        return is_quantity(value)


def is_number(value: Value) -> bool:
    return isinstance(value, Scalar) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool)


def is_quantity(value: Value) -> bool:
    """Whether a value is a number, boolean or null: an argument, never a node."""
    return isinstance(value, Scalar) and not isinstance(value.value, str)
