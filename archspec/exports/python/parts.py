"""The parts of a class: which of them are modules, how these are called, and how branches become one tensor."""

from __future__ import annotations

from archspec.exports.python.layout import INDENT, Bracket, Chain, Expression, Named
from archspec.exports.python.template import MERGES, Template

_JOINED = {"add": "+", "subtract": "-", "multiply": "*", "matmul": "@"}


def is_open(template: Template, depth: int = 0) -> bool:
    """Whether the class around a part calls what is in it: it is no module that takes and gives one tensor."""
    if template.kind in ("call", "shared", "save", "load", "output"):
        return False
    if not template.is_plain:
        return template.kind != "aux"
    if template.kind in MERGES:
        return depth < 2 or not template.has_modules
    return depth == 0 and any(is_open(child, 1) for _, child in template.children)


def joined(kind: str, branches: list[Expression], dimension: int = 1) -> Expression:
    """One tensor of several."""
    if kind == "concat":
        return Bracket("torch.cat", (Bracket("", tuple(branches), "[]"), f"dim={dimension}"))
    if len(branches) == 1:
        return branches[0]
    if kind in _JOINED:
        return Chain((branches[0], *(Named(f"{_JOINED[kind]} ", one) for one in branches[1:])))
    if kind == "mean":
        total = Chain((branches[0], *(Named("+ ", one) for one in branches[1:])))
        return f"({total}) / {len(branches)}"
    result = branches[0]
    for one in branches[1:]:
        result = Bracket("torch.maximum", (result, one))
    return result


def inner_module(template: Template, depth: int) -> Template | None:
    """The parts of a sequence that are one module, where tensors are led elsewhere before and after them alone."""
    children = list(template.children)
    if template.kind != "sequence" or template.recompute or not depth:
        return None
    start, stop = 0, len(children)
    while start < stop and children[start][1].kind == "load":
        start += 1
    while stop > start and children[stop - 1][1].kind in ("save", "output"):
        stop -= 1
    inner = children[start:stop]
    if len(inner) == len(children) or not any(child.has_modules for _, child in inner):
        return None
    if any(is_open(child, depth + 1) or not child.is_plain or child.recompute for _, child in inner):
        return None
    return Template("sequence", "", template.present, [], inner)


def is_stepwise(template: Template, depth: int) -> bool:
    """Whether a part takes more than one call: it is more than one module of what is loaded."""
    if inner_module(template, depth):
        return any(child.kind in ("save", "output") for _, child in template.children)
    return is_open(template, depth)


def is_called(template: Template, depth: int) -> bool:
    """Whether the class around a part calls it, as one module that it has."""
    wired = template.kind in ("save", "load", "output", "shared", "aux")
    return not wired and not is_open(template, depth)


def form(template: Template, depth: int = 2) -> object:
    """How the modules of a part are called: by which keys of which lists and dictionaries."""
    if not is_open(template, depth) or inner_module(template, depth):
        return "module"
    if any(child.is_optional for _, child in template.modules):
        return id(template)
    return template.is_counted, tuple((key, form(child)) for key, child in template.modules)


def indented(lines: list[str]) -> list[str]:
    """Lines one level deeper."""
    return [INDENT + line if line else line for line in lines]


def child_ref(template: Template, ref: str, key: str) -> str:
    if ref == "self" and template.is_named:
        return f"self.{key}"
    return f"{ref}[{key}]" if template.is_counted else f'{ref}["{key}"]'


def inner_ref(ref: str, key: str) -> str:
    """A part of what is one `nn.Sequential`."""
    return f"{ref}.{key}" if key.isidentifier() else f"{ref}[{key}]"


def reference(template: Template, path: str) -> str:
    """How the class calls a part by its path."""
    ref, depth = "self", 0
    for step in path.split("."):
        child = dict(template.children).get(step)
        if child is None or not is_open(template, depth):
            return f'self.get_submodule("{path}")'
        ref = inner_ref(ref, step) if inner_module(template, depth) else child_ref(template, ref, step)
        template, depth = child, depth + 1
        if template.kind == "aux":
            ((_, template),) = template.children
    return ref


def is_nothing(template: Template) -> bool:
    """Whether a part does nothing, in all trees."""
    return template.kind == "sequence" and not template.children and not template.is_optional


_STATEFUL = ("nn.Conv", "nn.Linear", "nn.BatchNorm", "nn.GroupNorm", "nn.LayerNorm", "nn.InstanceNorm", "nn.PReLU")
_STATELESS: tuple[str, ...] = (
    "ChannelSlice",
    "FeatureMap",
    "PatchMerging",
    "Permute",
    "Power",
    "Reduce",
    "Scale",
    "Sqrt",
)
_STATELESS += ("StochasticDepth", "Token", "Tokens")


def has_state(template: Template) -> bool:
    """Whether a part has parameters or buffers, whose names count the parts before it."""
    if template.kind == "call":
        function = template.name
        return function.startswith(_STATEFUL) if function.startswith("nn.") else function not in _STATELESS
    return any(has_state(child) for _, child in template.children)
