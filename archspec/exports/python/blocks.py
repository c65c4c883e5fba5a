"""The blocks of a network as classes: one for all calls that one template fits, and more where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from archspec.exports.python import classes, unify
from archspec.exports.python.body import Body, Constructor
from archspec.exports.python.classes import Maker, Signature
from archspec.exports.python.explain import NAMES, Scope
from archspec.exports.python.layout import INDENT, Bracket, statement
from archspec.exports.python.rows import literal
from archspec.exports.python.template import ANY, Function, Mismatch, walk
from archspec.exports.python.tree import Forest, Ports, Tree, inner_ports, parts
from archspec.foundation.arguments import REQUIRED, is_node
from archspec.foundation.shapes import Shape
from archspec.language.vocabulary import library_block, library_names
from archspec.plan.graph import GraphGroup

_SIZED = (
    "channels",
    "features",
    "width",
    "out",
    "growth",
    "size",
    "height",
    "heads",
    "classes",
    "inner",
    "pool",
    "reduce",
    "squeeze",
)


@dataclass
class WrittenClass:
    """A class of the file."""

    name: str
    lines: list[str]
    needs: set[str]


class Blocks:
    """Writes the classes of a network's blocks, those first that others hold."""

    def __init__(self, forest: Forest, taken: set[str], family: str) -> None:
        self.forest = forest
        self.taken = taken
        self.family = family
        """The network's name, in whose spelling blocks of its name are called: `ConvNeXt`, not `Convnext`."""
        self.calls: dict[int, Tree] = {}
        """The call of a class for each call of a block, by the identity of its node."""
        self.written: list[WrittenClass] = []
        for name, bodies in self.order():
            self.write(name, bodies)

    def order(self) -> list[tuple[str, Bodies]]:
        """The calls of blocks, each after those that are in it: all of one name together, if no block is in itself."""
        levels = {
            id(group.node): (name, group, body) for name, one in self.forest.bodies.items() for group, body in one
        }
        depths: dict[int, int] = {}

        def depth(node: int) -> int:
            if node not in depths:
                inner = [id(part.node) for part in parts(levels[node][2]) if part.kind == "block"]
                depths[node] = 1 + max((depth(one) for one in inner), default=0)
            return depths[node]

        deepest: dict[str, int] = {}
        for node, (name, _, _) in levels.items():
            deepest[name] = max(deepest.get(name, 0), depth(node))
        nested = any(
            deepest[part.name] >= deepest[name]
            for name, _, body in levels.values()
            for part in parts(body)
            if part.kind == "block"
        )
        ordered: dict[tuple[int, str], Bodies] = {}
        for node, (name, group, body) in levels.items():
            ordered.setdefault((depths[node] if nested else deepest[name], name), []).append((group, body))
        return [(name, ordered[level, name]) for level, name in sorted(ordered, key=lambda one: one[0])]

    def resolved(self, tree: Tree) -> Tree:
        """The tree with calls of classes in the place of blocks."""
        if tree.kind == "block":
            return replace(self.calls[id(tree.node)], recompute=tree.recompute, ports=tree.ports)
        children = tuple((key, self.resolved(child)) for key, child in tree.children)
        return replace(tree, children=children)

    def write(self, block: str, calls: Bodies) -> None:
        """Write as few classes as fit some calls of a block."""
        bodies = [(group, self.resolved(body)) for group, body in calls]
        for some in group_bodies(bodies):
            name = self.class_name(block)
            written, signature = written_class(name, block, some)
            classes.SIGNATURES.get()[name] = signature
            unify.CLASSES.get()[name] = signature.defaults
            self.written.append(written)
            for i, (group, _) in enumerate(some):
                slots = [
                    (one, row[i] if row[i] is not ANY else signature.defaults[one])
                    for one, row in signature.rows.items()
                ]
                self.calls[id(group.node)] = Tree("call", name, tuple(slots))

    def class_name(self, block: str) -> str:
        base = "".join(word[:1].upper() + word[1:] for word in block.split("_"))
        if self.family.lower().startswith(base.lower()):
            base = self.family[: len(base)]
            base = f"{base}Block" if base in self.taken else base
        name, number = base, 2
        while name in self.taken:
            name, number = f"{base}{number}", number + 1
        self.taken.add(name)
        return name


Bodies = list[tuple[GraphGroup, Tree]]


def group_bodies(bodies: Bodies) -> list[Bodies]:
    """The fewest groups of calls, each of which one class fits."""
    if fits(bodies):
        return [bodies]
    groups: list[Bodies] = []
    for body in bodies:
        for group in groups:
            if fits([*group, body]):
                group.append(body)
                break
        else:
            groups.append([body])
    return groups


def fits(bodies: Bodies) -> bool:
    try:
        written_class("_", bodies[0][0].node.block, bodies)
    except Mismatch:
        return False
    return True


def written_class(name: str, block: str, bodies: Bodies) -> tuple[WrittenClass, Signature]:
    """The class of some calls of a block. Raises `Mismatch` where one does not fit them all."""
    template = unify.unify([tree for _, tree in bodies])
    groups = [group for group, _ in bodies]
    has_height = any(slot == "height" for one in walk(template) for slot, _ in one.slots)
    scope, options = offered(groups, NAMES | ({"width": "features"} if has_height else {}))
    scope.parts = frozenset(key for one in walk(template) for key, _ in one.children)
    maker = Maker(scope, options)
    maker.resolve(template)
    maker.decide(template)
    ports = {inner_ports(group) for group in groups}
    if len(ports) > 1:
        raise Mismatch
    body = Constructor(maker, template, *ports).body()
    body.define(scope.locals)
    signature = signed(name, scope, standard(block))
    lines = [f"class {name}({body.base}):", *documented(block)]
    return WrittenClass(name, [*lines, *definition(body, signature, returned(*ports))], maker.needs), signature


def returned(ports: Ports) -> str:
    """The type of what a block's `forward` returns."""
    outputs = ["Tensor | None" if name in ports.aux else "Tensor" for name in ports.outputs]
    kinds = ["Tensor"] * max(1, len(ports.gives)) + outputs
    return f"tuple[{', '.join(kinds)}]" if len(kinds) > 1 else "Tensor"


def offered(groups: Sequence[GraphGroup], called: dict[str, str]) -> tuple[Scope, frozenset[str]]:
    """The arguments of a block's calls as names that its class may use, and those that name parts.

    `called` has other names of arguments: beside a height, a width is not a number of features.
    """
    scope = Scope(len(groups))
    shapes = [group.node.input for group in groups]
    ranks = {len(shape) for shape in shapes}
    if len(ranks) == 1:
        rank = ranks.pop()
        names = {1: ("in_features",), 2: ("", "in_features"), 3: ("in_channels", "height")}.get(rank, ("in_channels",))
        for axis, name in enumerate(names):
            if name:
                scope.offer(name, tuple(shape[axis] for shape in shapes))
    for name, beside in port_shapes(groups).items():
        if {len(shape) for shape in beside} <= {3, 4}:
            scope.offer(f"{name}_channels", tuple(shape[0] for shape in beside))
        elif {len(shape) for shape in beside} <= {1, 2}:
            scope.offer(f"{name}_features", tuple(shape[-1] for shape in beside))
    rows: dict[str, list[Any]] = {}
    for group in groups:
        for name, value in group.node.arguments.items():
            rows.setdefault(name, []).append(value)
    options = set()
    for name, row in rows.items():
        if all(isinstance(one, (bool, int, float)) for one in row):
            scope.offer(called.get(name, name), tuple(row))
        elif all(isinstance(one, (int, tuple)) for one in row):
            scope.offer(called.get(name, name), tuple(_pair(one) for one in row))
        elif is_option(groups[0].node.block, name):
            options.add(name)
    scope.kept = frozenset(called.get(name, name) for name in required(groups[0].node.block, rows)) | {
        "in_channels",
        "in_features",
    }
    scope.kept &= scope.known.keys()
    return scope, frozenset(options)


def port_shapes(groups: Sequence[GraphGroup]) -> dict[str, list[Shape]]:
    """The shapes of the tensors that calls of a block take by name, after the first."""
    rows: dict[str, list[Shape]] = {}
    for group in groups:
        for port in group.node.takes[1:]:
            rows.setdefault(port.name, []).append(port.wire.output if port.wire else group.node.input)
    return rows


def is_option(block: str, name: str) -> bool:
    """Whether an argument of a block says what one of its parts is."""
    if block not in library_names():
        return True
    return any(one.name == name and is_node(one.schema) for one in library_block(block).signature.arguments)


def _pair(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def required(block: str, rows: dict[str, list[Any]]) -> list[str]:
    """The arguments of a block that have no default: a reader expects them at its class."""
    if block not in library_names():
        return list(rows)
    return [one.name for one in library_block(block).signature.arguments if one.default is REQUIRED]


DOCS: ContextVar[dict[str, tuple[str, str]]] = ContextVar("DOCS")
"""What a file says of its own blocks, and their sources; `write` has its own."""


def documented(block: str) -> list[str]:
    """The docstring of a block's class."""
    if block in DOCS.get():
        text, source = DOCS.get()[block]
    elif block in library_names():
        text, source = library_block(block).doc, library_block(block).source
    else:
        return []
    text = text[:1].upper() + text[1:]
    text = text if text.endswith(".") else f"{text}."
    return docstring([text, *([f"Source: {source}"] if source else [])], INDENT)


def docstring(paragraphs: Sequence[str], indent: str) -> list[str]:
    """A docstring, wrapped."""
    import textwrap

    text = [line.replace("\\", "\\\\").replace('"""', "'''") for line in paragraphs]
    first = textwrap.wrap(text[0], 88 - len(indent) - 3, break_long_words=False, break_on_hyphens=False)
    if len(text) == 1 and len(first) == 1 and len(indent) + 6 + len(first[0]) <= 88:
        return [f'{indent}"""{first[0]}"""', ""]
    lines = [f'{indent}"""{first[0]}', *(indent + line for line in first[1:])]
    for paragraph in text[1:]:
        lines.append("")
        for line in paragraph.split("\n"):
            lines += [
                indent + one
                for one in textwrap.wrap(line, 88 - len(indent), break_long_words=False, break_on_hyphens=False)
            ]
    return [*lines, f'{indent}"""', ""]


def standard(block: str) -> dict[str, Any]:
    """The defaults of a block's arguments that are plain values."""
    if block not in library_names():
        return {}
    found = {}
    for one in library_block(block).signature.arguments:
        if isinstance(one.default, (bool, int, float)):
            found[NAMES.get(one.name, one.name)] = one.default
    return found


def signed(name: str, scope: Scope, standard: dict[str, Any]) -> Signature:
    """The arguments that the expressions use, those that have a usual value last."""
    needed: dict[str, tuple[Any, ...]] = {}
    optional: dict[str, tuple[Any, ...]] = {}
    defaults: dict[str, Any] = {}
    offered = list(scope.known)
    for one in sorted(scope.used, key=lambda name: (not name.startswith("in_"), offered.index(name))):
        row = scope.known[one]
        given = [value for value in row if value is not ANY]
        common = max(given, key=lambda value: sum(other == value and type(other) is type(value) for other in given))
        share = sum(other == common for other in given) / len(given)
        is_size = any(word in one for word in _SIZED) and not one.startswith("kernel")
        if (
            one in standard
            and len(row) > 1
            and any(type(value) is type(standard[one]) and value == standard[one] for value in given)
        ):
            optional[one], defaults[one] = row, standard[one]
        elif ANY in row or (share > 0.4 and not is_size and len(row) > 1) or isinstance(common, (bool, Function)):
            optional[one], defaults[one] = row, common
        else:
            needed[one] = row
    return Signature(name, needed | optional, defaults)


def annotation(row: Sequence[Any]) -> str:
    """The type of an argument."""
    kinds: dict[str, None] = {}
    for one in row:
        if one is ANY:
            continue
        if one is None:
            kinds["None"] = None
        elif isinstance(one, Function):
            kinds["type[nn.Module]"] = None
        elif isinstance(one, tuple):
            kinds[f"tuple[{', '.join(['int'] * len(one))}]"] = None
        else:
            kinds["int" if isinstance(one, int) and not isinstance(one, bool) else type(one).__name__] = None
    if "float" in kinds:
        kinds.pop("int", None)
    order = ["int", "float", "bool", "str"]
    return " | ".join(sorted(kinds, key=lambda kind: (kind == "None", order.index(kind) if kind in order else 9)))


def definition(body: Body, signature: Signature, result: str = "Tensor") -> list[str]:
    """The methods of a class."""
    arguments = ["self"]
    for name, row in signature.rows.items():
        default = f" = {literal(signature.defaults[name])}" if name in signature.defaults else ""
        arguments.append(f"{name}: {annotation(row)}{default}")
    lines = head("__init__", arguments, "None")
    lines += body.init
    if body.forward:
        taken = [f"{name}: Tensor" for name in body.takes]
        lines += ["", *head("forward", ["self", *taken], result), *body.forward]
    return lines


def head(name: str, arguments: Sequence[str], result: str) -> list[str]:
    """The first lines of a method."""
    *lines, last = statement(Bracket(f"def {name}", tuple(arguments)), INDENT)
    end = f"{last} -> {result}:"
    if not lines and len(end) <= 88:
        return [end]
    inner = INDENT * 2
    one_line = inner + ", ".join(arguments)
    if len(one_line) <= 88:
        return [f"{INDENT}def {name}(", one_line, f"{INDENT}) -> {result}:"]
    return [f"{INDENT}def {name}(", *(f"{inner}{one}," for one in arguments), f"{INDENT}) -> {result}:"]
