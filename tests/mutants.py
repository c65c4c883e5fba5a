"""Random specs that are valid, and what becomes of them where one thing in them is changed.

A mutant is refused; or its figures (shapes, parameters, MACs) are not those of the original; or it computes the same; or
it computes something else without a word. Of the last there are kinds, and each was judged: `JUDGED` says why a person
who wrote this may have meant it. By `python -m benchmarks.fuzz` many are tried.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

import yaml
from fuzz import LINE_CHANGES

from archspec.foundation import reading
from archspec.foundation.errors import Fault
from archspec.plan.graph import GraphLayer, GraphWire
from archspec.plan.plan import Plan
from archspec.spec import Spec, SpecFile

# --- valid specs -----------------------------------------------------------------------------------------------------

FREE: list[Any] = [
    "relu",
    "act",
    "norm",
    "tanh",
    {"dropout": 0.1},
    {"max_pool": {"kernel": 3, "stride": 1, "padding": 1}},
]
"""Layers that keep every shape."""


@dataclass
class Writer:
    """Writes a network piece by piece, and knows the channels where it is."""

    random: Random
    channels: int = 4
    names: int = 0
    blocks: dict[str, Any] = field(default_factory=dict)

    def spec(self) -> str:
        """A valid spec, as a person would write it: a node a line, arguments within braces."""
        stem, middle = self.body(0), self.body(0)
        head = ["global_avg_pool", "flatten", {"linear": "=classes"}]
        spec: dict[str, Any] = {
            "archspec": 1,
            "input": [4, 8, 8],
            "vars": {"classes": 5, "deep": self.random.random() < 0.5},
            "defaults": {"act": self.random.choice(["relu", "silu"]), "norm": "batch_norm"},
        }
        if self.blocks:
            spec["blocks"] = self.blocks
        flat = self.random.random() < 0.4
        spec["network"] = [*stem, *middle, *head] if flat else {"stem": stem, "middle": middle, "head": head}
        spec["init"] = {"conv": {"weight": "kaiming_normal", "bias": 0}}
        return yaml.dump(spec, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)

    def name(self, word: str) -> str:
        self.names += 1
        return f"{word}{self.names}"

    def body(self, depth: int, back: int | None = None) -> list[Any]:
        """A list of nodes; where `back` is given, one that ends in so many channels."""
        nodes = [one for _ in range(self.random.randint(1, 3)) for one in self.piece(depth)]
        if back is not None and self.channels != back:
            nodes.append(self.conv(back))
        return nodes

    def piece(self, depth: int) -> list[Any]:
        simple = [self.plain, self.free]
        made = [self.shortcut, self.gate, self.branches, self.loop, self.rows, self.saved, self.block, self.kept]
        return self.random.choice(simple if depth > 1 else simple + made)(depth + 1)

    def conv(self, out: int) -> dict[str, Any]:
        self.channels = out
        arguments = {"out": out, "kernel": self.random.choice([1, 3])}
        if self.random.random() < 0.3:
            return {"conv_norm_act": arguments}
        return {"conv": arguments | {"padding": "same"}}

    def plain(self, _: int) -> list[Any]:
        beside = self.random.choice([{}, {}, {"repeat": 2}, {"when": "=deep"}, {"name": self.name("layer")}])
        return [self.conv(self.channels if "when" in beside else self.random.choice([2, 4, 6])) | beside]

    def free(self, _: int) -> list[Any]:
        return [self.random.choice(FREE)]

    def shortcut(self, depth: int) -> list[Any]:
        main = self.body(depth, self.channels)
        merge = self.random.choice(["add", "add", "maximum", "subtract"])
        return [{merge: [main, []] if self.random.random() < 0.3 else {"main": main, "shortcut": []}}]

    def gate(self, _: int) -> list[Any]:
        gate = ["global_avg_pool", {"conv": {"out": "=c_in", "kernel": 1}}, "sigmoid"]
        return [{"multiply": {"features": [], "gate": gate}}]

    def branches(self, depth: int) -> list[Any]:
        if self.random.random() < 0.4:
            self.channels = 4
            branch = {"conv": {"out": 2, "kernel": "=kernel", "padding": "same"}}
            return [{"concat": {"for": {"kernel": [1, 3]}, "body": branch}}]
        start, made, width = self.channels, [], 0
        for _ in range(2):
            self.channels = start
            made.append(self.body(depth))
            width += self.channels
        self.channels = width
        return [{"concat": made}]

    def loop(self, depth: int) -> list[Any]:
        conv = {"conv": {"out": "=width", "kernel": 1, "bias": "=not first"}}
        self.channels = 6
        return [{"for": {"width": [4, 6]}, "body": [self.free(depth)[0], conv]}]

    def rows(self, depth: int) -> list[Any]:
        conv = {"conv": {"out": "=out", "kernel": "=kernel", "padding": "same"}}
        self.channels = 6
        return [{"for": {"as": ["out", "kernel"], "rows": [[2, 3], [6, 1]]}, "body": [conv, *self.free(depth)]}]

    def saved(self, depth: int) -> list[Any]:
        name = self.name("skip")
        body = self.body(depth, self.channels)
        return [{"save": name}, *body, {self.random.choice(["add", "maximum"]): [[], {"load": name}]}]

    def kept(self, depth: int) -> list[Any]:
        name, start = self.name("kept"), self.channels
        nodes = [{"let": {name: "=c_in"}}, *self.body(depth), {"conv": {"out": f"={name}", "kernel": 1}}]
        self.channels = start
        return nodes

    def block(self, depth: int) -> list[Any]:
        name = self.name("block")
        inner = {"conv": {"out": "=width", "kernel": "=kernel", "padding": "same"}}
        self.blocks[name] = {"args": {"width": 4, "kernel": 3}, "body": [inner, *self.free(depth), inner]}
        self.channels = self.random.choice([2, 4, 6])
        return [{name: {"width": self.channels} | self.random.choice([{}, {"kernel": 1}])}]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


# --- mutants ---------------------------------------------------------------------------------------------------------


def mutant(text: str, random: Random) -> tuple[str, str]:
    """The text with one thing changed, and how: a line of its network or blocks, or what stands in the tree of it."""
    if random.random() < 0.5:
        return _of_lines(text, random)
    tree = yaml.safe_load(text)
    how, places = random.choice(list(TREE_CHANGES.items())), list(_containers(tree))
    for _ in range(20):
        if how[1](random.choice(places), random):
            break
    return f"tree {how[0]}", yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)


def _of_lines(text: str, random: Random) -> tuple[str, str]:
    lines = text.split("\n")
    used = range(2, len(lines) - 1)  # neither the version nor what follows the last line
    at, other = random.choice(used), random.choice(used)
    kind = random.choice([*LINE_CHANGES, "removed", "doubled", "swapped"])
    if kind in LINE_CHANGES:
        lines[at] = LINE_CHANGES[kind](lines[at], random) if lines[at] else lines[at]
    elif kind == "removed":
        del lines[at]
    elif kind == "doubled":
        lines.insert(at, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return f"line {kind}", "\n".join(lines)


def _containers(tree: Any, inside: bool = False) -> list[Any]:
    """The lists and mappings of a spec in which something can be changed: what describes it aside."""
    found = [tree] if inside and tree and isinstance(tree, (list, dict)) else []
    for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        found += _containers(inner, inside or key in ("network", "blocks", "defaults", "vars", "init"))
    return found


def _drop(place: Any, random: Random) -> bool:
    del place[random.choice(list(place) if isinstance(place, dict) else range(len(place)))]
    return True


def _rename(place: Any, random: Random) -> bool:
    if not isinstance(place, dict):
        return False
    old = random.choice(list(place))
    at = random.randrange(len(str(old)))
    new = f"{str(old)[:at]}{random.choice('xqz_')}{str(old)[at + random.randint(0, 1) :]}"
    items = [(new if key == old else key, value) for key, value in place.items()]
    place.clear()
    place.update(items)
    return True


def _retype(place: Any, random: Random) -> bool:
    key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
    value = place[key]
    place[key] = random.choice([str(value), [value], None, True, 0, 1, f"={value}", {"relu": value}, []])
    return True


def _swap(place: Any, random: Random) -> bool:
    if len(place) < 2:
        return False
    one, other = random.sample(list(place) if isinstance(place, dict) else range(len(place)), 2)
    place[one], place[other] = place[other], place[one]
    return True


def _wrap(place: Any, random: Random) -> bool:
    """What stands in a list, one level further in; or what stands further in, one level out."""
    if not isinstance(place, list):
        return False
    at = random.randrange(len(place))
    inner = place[at]
    place[at : at + 1] = inner if isinstance(inner, list) else [[inner]]
    return True


TREE_CHANGES = {"dropped": _drop, "renamed": _rename, "retyped": _retype, "swapped": _swap, "wrapped": _wrap}


# --- what becomes of them --------------------------------------------------------------------------------------------


def read(text: str) -> Spec | None:
    """The spec of a text, or `None` where it is refused."""
    try:
        checked = SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml")).check([None])
    except Fault:
        return None
    return checked.specs[0] if checked.specs and not checked.diagnostics else None


def figures(plan: Plan) -> tuple[Any, ...]:
    return plan.output, plan.outputs, plan.params, plan.macs, [(one.shape, one.weight) for one in plan.aux.values()]


_numbers: dict[tuple[Any, ...], int] = {}
"""Each tensor that any network computes by what makes it of which others, so that equal ones have one number."""


def function(plan: Plan) -> tuple[int, dict[str, int]]:
    """What a network computes, whatever its parts are called: its output, and what it gives beside it by name."""
    made: dict[int, int] = {}
    for node in plan.graph.nodes:
        if isinstance(node, GraphWire):
            continue
        sources = [made[one] for one in node.sources]
        if node.kind in ("add", "multiply", "mean", "maximum"):
            sources.sort()
        layer = node.layer if isinstance(node, GraphLayer) else None
        what = node.kind if layer is None else (layer.primitive, layer.frozen_arguments, layer.init)
        made[node.id] = _numbers.setdefault((what, *sources), len(_numbers))
    return made[plan.graph.output], {one.name: made[id] for one, id in plan.graph.named_outputs}


def difference(one: Plan, other: Plan) -> str:
    """How two networks differ that have the same figures and do not compute the same, in a word or two."""
    before, after = _layers(one), _layers(other)
    lost, added = before - after, after - before
    if not lost and not added:
        merges = [Counter(node.kind for node in plan.graph.nodes) for plan in (one, other)]
        return "another merge" if merges[0] != merges[1] else "another order"
    names = [Counter(name for name, _, _ in some.elements()) for some in (lost, added)]
    if names[0] == names[1]:
        inits = [Counter((name, arguments) for name, arguments, _ in some.elements()) for some in (lost, added)]
        return "other initial values" if inits[0] == inits[1] else "another argument"
    merges = [Counter(node.kind for node in plan.graph.nodes if node.kind != "layer") for plan in (one, other)]
    if merges[0] != merges[1]:
        gone = lost and not added and merges[0] > merges[1]
        return "a merge lost with its layers" if gone else "a merge lost or added"
    if sum(names[0].values()) == sum(names[1].values()):
        return "another layer"
    return "a layer lost" if sum(names[0].values()) > sum(names[1].values()) else "a layer added"


def _layers(plan: Plan) -> Counter[Any]:
    return Counter((one.layer.primitive, one.layer.frozen_arguments, one.layer.init) for one in plan.layers)


JUDGED = {
    "a layer lost": "every network exists without this layer too: it has no parameters and keeps the shape",
    "a merge lost with its layers": "as one layer: branches without parameters that keep the shape, left out as a whole",
    "a layer added": "as without; twice the same is of no effect (flatten, relu) or wanted (tanh)",
    "another layer": "the mistyped word is a layer itself: `elu` for `relu`",
    "another argument": "a value within its range: a share of dropout, padding 0 at a kernel of 1",
    "another order": "layers, or the rows of a loop, stand in an order that could be wanted",
    "other initial values": "all of them begin a network; a parameter left out begins as torch's layers do",
}
"""The kinds of what computes something else with the same figures, and why each may be meant. A merge that is lost while
its layers stay, or becomes another, is none of them."""


@dataclass
class Outcome:
    """What came of many mutants."""

    counts: Counter[str] = field(default_factory=Counter)
    silent: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Those that compute something else with the same figures: how they were changed, and how they differ."""
    shown: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """Some of each of these: the lines that were changed."""


def try_mutants(count: int, seed: int, each: int = 20) -> Outcome:
    """Change random specs, each in as many ways. Raises `AssertionError` where one that is written here is refused."""
    random, outcome = Random(seed), Outcome()
    for number in range(count):
        if number % each == 0:
            text = Writer(random).spec()
            original = read(text)
            assert original is not None, text
            text = yaml.dump(yaml.safe_load(text), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110)
        assert original is not None
        how, changed = mutant(text, random)
        spec = read(changed)
        if spec is None:
            outcome.counts["refused"] += 1
        elif figures(spec.plan) != figures(original.plan):
            outcome.counts["other figures"] += 1
        elif function(spec.plan) == function(original.plan):
            outcome.counts["the same network"] += 1
        else:
            outcome.counts["other function, same figures"] += 1
            kind = (how, difference(original.plan, spec.plan))
            outcome.silent[kind] += 1
            outcome.shown.setdefault(kind, []).append(_changes(text, changed))
    return outcome


def _changes(before: str, after: str) -> str:
    import difflib

    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), lineterm="", n=1)
    return "\n".join(line for line in lines if not re.match(r"---|\+\+\+|@@", line))
