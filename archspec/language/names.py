"""Which words may name a part, a variable or a block."""

from __future__ import annotations

import keyword
import re

from archspec.foundation.errors import Fault, Mark
from archspec.foundation.formulas import CONSTANTS
from archspec.foundation.functions import FUNCTIONS
from archspec.language import keywords
from archspec.layers.merges import MERGE_RULES

INCOMING = tuple(keywords.INCOMING)
LOOP = tuple(keywords.LOOP)
ROLES = tuple(keywords.ROLES)
MERGES = tuple(MERGE_RULES)
WIRES = ("save", "load", "output")
"""What leads a tensor elsewhere than to the next node."""
NODE_WORDS = tuple(keywords.NODE_KEYWORDS)
"""The node keywords that are part of the language itself."""
MODIFIERS = tuple(keywords.MODIFIERS)
FORMER = keywords.FORMER
MODIFIER_WORDS = (*MODIFIERS, *FORMER)
MODIFIERS_BY_WORD = {
    word: entry.modifiers for word, entry in keywords.NODE_KEYWORDS.items() if entry.modifiers != MODIFIERS
}
"""The modifiers of the words that do not take all of them."""
COMPANIONS_BY_WORD = {word: entry.companions for word, entry in keywords.NODE_KEYWORDS.items() if entry.companions}
"""Keys that belong to one of them."""
COMPANION_WORDS = tuple(keywords.COMPANIONS)

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# The attributes of torch's modules: a part of such a name would hide one of them, so torch refuses it or breaks.
# A test holds this list against the torch that is installed.
_MODULE_ATTRIBUTES = frozenset(
    """
    T_destination add_module add_submodule append apply bfloat16 buffers call_super_init children clear code compile cpu
    cuda delete_all_unused_submodules delete_submodule double dump_patches eval extend extra_repr float forward
    get_buffer get_extra_state get_parameter get_submodule graph half insert ipu items keys load_state_dict meta modules
    mtia named_buffers named_children named_modules named_parameters parameters pop print_readable recompile
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state
    set_submodule shape_env share_memory state_dict to to_empty to_folder train training type update values xpu
    zero_grad
    """.split()  # noqa: SIM905 - a list of words reads better so
)


def _word(name: str, what: str, mark: Mark) -> None:
    if not _WORD.fullmatch(name):
        raise Fault(
            "name-reserved",
            f"{what} is a word of letters, digits and `_` that begins with a letter, not `{name}`",
            mark,
            help="a formula makes a name of parts: `='x' + str(index)`" if re.search(r"[={}$%+]", name) else None,
        )


def check_part(name: str, mark: Mark) -> None:
    """Refuse a name that a torch module cannot have for a part. Raises `Fault`."""
    _word(name, "a part's name", mark)
    if name in _MODULE_ATTRIBUTES or name == "self" or keyword.iskeyword(name):  # torch.fx names results after parts
        owner = "an attribute of torch's modules" if name in _MODULE_ATTRIBUTES else "a word of Python"
        raise Fault("name-reserved", f"`{name}` cannot name a part: it is {owner}", mark, help=f"try `{name}_`")


def check_tensor(name: str, mark: Mark, what: str = "a tensor's name") -> None:
    """Refuse a name that a saved tensor, an output or a shared node cannot have. Raises `Fault`."""
    _word(name, what, mark)


def check_variable(name: str, mark: Mark) -> None:
    """Refuse a name that a formula could not use for a variable. Raises `Fault`."""
    _word(name, "a variable's name", mark)
    if keyword.iskeyword(name):
        raise Fault("name-reserved", f"`{name}` cannot name a variable: it is a word of Python", mark)
    if name in LOOP:
        message = f"`{name}` cannot name a variable: every loop gives it"
        raise Fault("name-reserved", message, mark, help=_given(keywords.LOOP[name]))
    if name in INCOMING:
        message = f"`{name}` cannot name a variable: every node has it"
        raise Fault("name-reserved", message, mark, help=_given(keywords.INCOMING[name]))
    if name in (*CONSTANTS, *FUNCTIONS):
        raise Fault("name-reserved", f"`{name}` cannot name a variable: formulas use it already", mark)


def _given(word: keywords.Keyword) -> str:
    meaning = word.doc.rstrip(".")
    verb = "says" if meaning.startswith("Whether") else "is"
    return f"it {verb} {meaning[0].lower()}{meaning[1:]}; choose another name"


def check_block(name: str, mark: Mark, taken: str | None, kind: str = "block") -> None:
    """Refuse a name that a block, or a primitive, cannot have; `taken` says what has it already. Raises `Fault`."""
    _word(name, f"a {kind}'s name", mark)
    if name in (*NODE_WORDS, *MODIFIER_WORDS, *ROLES, *COMPANION_WORDS):
        taken = "a word of the language"
    if taken:
        raise Fault("name-reserved", f"`{name}` cannot name a {kind}: it is {taken}", mark, help="choose another name")
