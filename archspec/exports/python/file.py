"""The file: what it imports, the layers that torch has no class for, a class for each block, and the network's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from contextvars import copy_context

from archspec.exports.python import classes, series, unify
from archspec.exports.python.blocks import DOCS, Blocks, WrittenClass, definition, docstring
from archspec.exports.python.body import Constructor
from archspec.exports.python.classes import Maker, Signature
from archspec.exports.python.explain import Scope
from archspec.exports.python.initial import write_initial_values
from archspec.exports.python.layout import INDENT
from archspec.exports.python.merges import MERGES
from archspec.exports.python.template import Template
from archspec.exports.python.tree import Classes, Forest, Ports, source
from archspec.foundation.figures import show_macs
from archspec.foundation.shapes import show
from archspec.language.inputs import show_inputs
from archspec.plan.graph import Graph, GraphLayer
from archspec.plan.plan import Plan

_FROM = {
    "collections": ("OrderedDict",),
    "collections.abc": ("Sequence",),
    "functools": ("reduce",),
    "math": ("comb", "inf"),
    "typing": ("Any",),
}
"""What a text may need of the standard library, by module."""
_IMPORTED = {"nn", "torch", "Tensor", "F", "functional", "math", "checkpoint"}.union(*_FROM.values())


def write(plan: Plan) -> str:
    """The text of a Python file with the network as a class, which imports torch alone.

    Its `state_dict` has the keys and shapes of the module that archspec builds; with the same weights and random state
    it gives the same outputs and gradients, bit for bit. The text is as `ruff format` leaves it.

    Raises:
        UsageError: A layer of a plugin does not say how it is written.
    """
    return copy_context().run(_written, plan)


def _written(plan: Plan) -> str:
    classes.SIGNATURES.set({})
    unify.CLASSES.set({})
    DOCS.set({name: (doc, source) for name, doc, source in plan.docs})
    drops = [
        dict(one.layer.arguments).get("p") for one in plan.graph.layers if one.layer.primitive == "stochastic_depth"
    ]
    series.WHOLE.set(series.find_whole(one for one in drops if isinstance(one, float)))
    forest = Forest(plan.graph, classified(plan))
    name = class_name(plan)
    taken = {name, *MERGES, *_IMPORTED, *_own_layers()}
    blocks = Blocks(forest, taken, "".join(re.findall(r"[A-Za-z0-9]+", plan.name)))
    root = network(name, plan, forest, blocks)
    written = [*blocks.written, root]
    needs = set().union(*(one.needs for one in written))
    parts = [*layers(needs), *merges(needs), *("\n".join(one.lines) for one in written)]
    body = "\n\n\n".join(parts) + "\n"
    return "\n".join([*title(plan), "from __future__ import annotations", "", *imports(body), "", "", body])


def classified(plan: Plan) -> frozenset[int]:
    """The layers, by number, whose outputs are the classes: the last with weights before each output."""
    count = dict(plan.vars).get("num_classes")
    if not isinstance(count, int) or isinstance(count, bool):
        return frozenset()
    last: dict[str | None, GraphLayer] = {}
    for layer in plan.graph.layers:
        if layer.layer.parameters:
            last[layer.aux] = layer
    others = [_weighted(plan.graph, source) for _, source in plan.graph.named_outputs]
    layers = [*last.values(), *(one for one in others if one is not None)]
    found = frozenset(layer.id for layer in layers if layer.layer.arguments.get("out") == count)
    return found if last.get(None) and last[None].id in found else frozenset()


def _weighted(graph: Graph, place: int) -> GraphLayer | None:
    """The layer with weights whose values a node passes on, perhaps by way of layers without."""
    node = graph.nodes[place]
    while isinstance(node, GraphLayer) and not node.layer.parameters and len(node.sources) == 1:
        node = graph.nodes[node.sources[0]]
    return node if isinstance(node, GraphLayer) and node.layer.parameters else None


def network(name: str, plan: Plan, forest: Forest, blocks: Blocks) -> WrittenClass:
    """The class of the whole network."""
    template = unify.unify([blocks.resolved(forest.root)])
    scope = Scope(1, is_root=True)
    has_classes = any(isinstance(row[0], Classes) for row in _rows(template))
    if has_classes:
        scope.outer.add("num_classes")
    maker = Maker(scope)
    maker.resolve(template)
    maker.decide(template)
    body = Constructor(maker, template, Ports(tuple(one.name for one in plan.takes if one.name))).body()
    body.init += write_initial_values(plan.graph.layers)
    count = dict(plan.vars).get("num_classes")
    rows, defaults = ({"num_classes": (count,)}, {"num_classes": count}) if has_classes else ({}, {})
    signature = Signature(name, rows, defaults)
    result = "Tensor"
    if plan.outputs:
        result = "tuple[Tensor, dict[str, Tensor]]"
    elif plan.aux:
        result = "Tensor | tuple[Tensor, dict[str, Tensor]]"
    lines = [f"class {name}({body.base}):", *docstring(_described(plan), INDENT)]
    return WrittenClass(name, [*lines, *definition(body, signature, result)], maker.needs)


def _rows(template: Template) -> Iterable[tuple[object, ...]]:
    for _, row in template.slots:
        yield row
    for _, child in template.children:
        yield from _rows(child)


def _described(plan: Plan) -> list[str]:
    output = ", ".join(map(str, plan.output))
    inputs = [
        f"{one.name if len(plan.takes) > 1 else ''} `(N, {', '.join(map(str, one.shape))})`".strip()
        for one in plan.takes
    ]
    lines = [f"{plan.title}: {', '.join(inputs)} → `(N, {output})`."]
    if plan.outputs:
        lines.append(f"Returns the main output and, by name, {', '.join(plan.outputs)}.")
    elif plan.aux:
        lines.append(
            f"In training it returns, beside the output, those of its auxiliary classifiers: {', '.join(plan.aux)}."
        )
    return lines


def title(plan: Plan) -> list[str]:
    """The docstring of the file: what the network is, where it comes from, its figures."""
    name = plan.title if plan.title.endswith(".") else f"{plan.title}."
    taken = show_inputs(plan.takes) if len(plan.takes) > 1 else show(plan.input)
    figures = f"{taken} -> {show(plan.output)}, {plan.params:,} parameters, {show_macs(plan.macs)}."
    paragraphs = [name]
    if plan.description:
        paragraphs.append(plan.description)
    paragraphs.append(f"Source: {plan.source}\n{figures}" if plan.source else figures)
    made = "Written by `archspec export --to python`; it takes the weights that archspec trains, by `load_state_dict`."
    return docstring([*paragraphs, made], "")


def imports(body: str) -> list[str]:
    """The imports that a text needs, sorted."""
    lines = []
    if re.search(r"\bmath\.", body):
        lines.append("import math")
    code = re.sub(r'"""(.|\n)*?"""', "", body)
    for module, names in _FROM.items():
        used = [name for name in names if re.search(rf"(?<!\.)\b{name}\b", code)]
        if used:
            lines.append(f"from {module} import {', '.join(used)}")
    lines = [*lines, ""] if lines else []
    if re.search(r"\btorch\.", body):
        lines.append("import torch")
    lines.append("from torch import Tensor, nn" if re.search(r"\bTensor\b", body) else "from torch import nn")
    if re.search(r"\bfunctional\.", body):
        lines.append("from torch.nn import functional")
    if re.search(r"\bF\.", body):
        lines.append("from torch.nn import functional as F")
    if "checkpoint(" in body:
        lines.append("from torch.utils.checkpoint import checkpoint")
    return lines


def merges(needs: set[str]) -> list[str]:
    """The classes of merges that stand within sequences."""
    wanted = [name for name in MERGES if name in needs]
    return [MERGES["Merge"], *(MERGES[name] for name in wanted)] if wanted else []


def layers(needs: set[str]) -> list[str]:
    """The text of the classes that torch has none for, each after those that it uses."""
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        for node in source(name).body:
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("archspec."):
                for alias in node.names:
                    add(alias.name)
        texts.setdefault(name, _definitions(name))

    for name in sorted(needs & _own_layers()):
        add(name)
    return list(texts.values())


def _definitions(name: str) -> str:
    from importlib import resources

    from archspec.layers.calls import file_of

    text = resources.files("archspec.layers.modules").joinpath(f"{file_of(name)}.py").read_text(encoding="utf-8")
    found = [node for node in source(name).body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    lines = text.splitlines()
    return "\n\n\n".join("\n".join(lines[node.lineno - 1 : node.end_lineno]) for node in found)


def _own_layers() -> set[str]:
    from importlib import resources

    names = [one.name for one in resources.files("archspec.layers.modules").iterdir()]
    stems = [name.removesuffix(".py") for name in names if name.endswith(".py") and name != "__init__.py"]
    special = {"layer_norm2d": "LayerNorm2d", "relative_positions": "relative_positions"}
    return {special.get(stem) or "".join(word.capitalize() for word in stem.split("_")) for stem in stems}


def class_name(plan: Plan) -> str:
    name, family = (_in_camel_case(one) for one in (plan.variant or plan.name, plan.name))
    place = name.lower().find(family.lower())
    if place >= 0:  # in the spelling of the spec: `ResNet50` and `WideResNet50_2`, not `Resnet50`
        rest = name[place + len(family) :]
        name = name[:place] + family + rest[:1].upper() + rest[1:]
    if name in {*MERGES, *_IMPORTED, *_own_layers()}:
        return f"{name}Network"
    if not name.isidentifier():
        name = "Network" + re.sub("[^A-Za-z0-9]", "", name)
    return name


def _in_camel_case(name: str) -> str:
    """The words of a name as one; between two numbers an underline stays, or `1_6gf` and `16gf` would be the same."""
    words = re.findall(r"[^\W_]+", name.replace("+", " plus "))
    joined = "".join(f"_{word}" if word[0].isdigit() else word[:1].upper() + word[1:] for word in words)
    return re.sub(r"(?<!\d)_|^_", "", joined)
