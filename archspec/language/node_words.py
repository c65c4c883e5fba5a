"""The word that says what a node is, and what was meant where there is none, or more than one."""

from __future__ import annotations

from archspec.foundation.errors import Fault, join_words
from archspec.foundation.source import List, Mapping, is_left_empty
from archspec.foundation.spelling import did_you_mean
from archspec.language.foreign import beside_hint, layer_hint
from archspec.language.misplaced import explain_beside, explain_body
from archspec.language.names import COMPANIONS_BY_WORD, MERGES, MODIFIERS, NODE_WORDS
from archspec.language.parts import PartGrammar


class NodeWordGrammar(PartGrammar):
    """Finds the node word of a mapping."""

    def _find_node_word(self, mapping: Mapping) -> str:
        """The one key of a node that is not a modifier. Raises `Fault` where there is not just one."""
        words = self._words(mapping)
        found = [word for word in words if self._is_node_word(word)]
        if len(words) == 1 and found:
            return found[0]
        if (
            found
            and is_left_empty(mapping.entries[found[0]][1])
            and (fault := explain_beside(found[0], words, mapping))
        ):
            raise fault
        wrong = next((word for word in words if word not in found), None)
        named = set(found) == {"load", "save"} or any(isinstance(mapping.get(word), List) for word in found)
        if wrong is not None and named and set(found) <= {"load", "save"}:  # beside what would be a block
            raise self._explain_unknown(wrong, mapping.entries[wrong][0])
        if wrong is not None and len(found) == 1:
            raise self._explain_word_beside(found[0], wrong, mapping)
        if len(found) > 1:
            raise _explain_several(found, mapping)
        raise self._explain_no_node_word(words, mapping)

    def _explain_word_beside(self, node_word: str, wrong: str, mapping: Mapping) -> Fault:
        """The fault of a word that is neither a modifier nor belongs to the node word that it stands beside."""
        allowed = (*MODIFIERS, *COMPANIONS_BY_WORD.get(node_word, ()))
        signature = self.vocabulary.signature(node_word)
        help = did_you_mean(wrong, allowed) or beside_hint(wrong)
        if signature and wrong in signature.by_name:
            written = f"`{node_word}: {{{wrong}: …}}`"
            help = f"indent the arguments of `{node_word}`: `{wrong}` stands further in than it, or in {written}"
        elif node_word == "for" and "body" not in mapping.entries:
            help = f"what is repeated stands under `body`, not `{wrong}`"
        elif wrong == "body":
            help = "`body` belongs to `for`; `repeat: 3` beside a node stands for three of it"
            if node_word in MERGES:
                help = f"the branches stand under `{node_word}` itself: `{node_word}: [[], [relu, tanh]]`"
        elif node_word == "use":
            help = f"its arguments stand under `with`: `with: {{{wrong}: …}}`"
        elif wrong == "with":
            help = f"its arguments stand under `{node_word}` itself; `with` belongs to `use`"
        message = f"`{wrong}` has no meaning beside `{node_word}`"
        help = help or f"beside a node may stand {join_words(allowed)}"
        return Fault("key-unknown", message, mapping.entries[wrong][0], help=help)

    def _explain_no_node_word(self, words: list[str], mapping: Mapping) -> Fault:
        """The fault of a node none of whose words says what it is."""
        if not words:
            help = None
            if "repeat" in mapping.entries:
                help = "it stands beside the node that it repeats, in the same mapping: `- {relu: , repeat: 3}`; "
                help += "for several nodes, write `for: {i: =range(3)}` with a `body`"
            return Fault("node-form", "this node names no layer", mapping.mark, help=help)
        first = words[0]
        mark, value = mapping.entries[first]
        if words == ["body"] or (len(words) == 1 and "repeat" in mapping.entries and isinstance(value, List)):
            return explain_body(mapping)
        branches = isinstance(value, Mapping) and self._reads_as_branches(value)
        fault = self._explain_unknown(first, mark, branches=branches)
        nodes = isinstance(value, List) or (isinstance(value, Mapping) and any(map(self._is_node_word, value.entries)))
        meant = layer_hint(first) or did_you_mean(first, (*self.vocabulary.words(), *NODE_WORDS), cutoff=0.8)
        if nodes and not branches and not meant:
            fault.help = (
                f"named parts stand in a mapping, without `- `; in a list, `name: {first}` stands beside a node"
            )
        return fault


def _explain_several(found: list[str], mapping: Mapping) -> Fault:
    """The fault of a node with several words each of which says what it is."""
    if "for" in found and "body" not in mapping.entries:
        other = next(node_word for node_word in found if node_word != "for")
        help = f"put `{other}` under `body:`"
        return Fault("key-missing", "`for` needs a `body`", mapping.entries["for"][0], help=help)
    help = f"begin each with its own `- `: `- {found[1]}: …`"
    if "let" in found:
        help = "`- let: …` stands before the node, as an item of its own"
    message = f"one node has one layer, but here stand {join_words(found)}"
    return Fault("node-form", message, mapping.entries[found[1]][0], help=help)
