"""Specs made wrong at random: what bundled specs become where they are changed, what the grammar gives, and bytes.

Whatever a spec holds, it is refused in words or works: `check_one` holds one to that. Few are tried with the tests; by
`python -m benchmarks.fuzz` many are.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
import yaml

from archspec.foundation import reading
from archspec.foundation.errors import Diagnostic, Fault, SpecError
from archspec.language.extends import resolve_extends
from archspec.language.finder import bundled, folder
from archspec.spec import Spec, SpecFile

MAX_SECONDS = 5.0  # of processor time, for one input
MAX_GROWTH = 500  # megabytes of memory, over all inputs
SMALL = 20_000_000  # multiply-accumulate operations of a network that is run
EACH = 7  # of the accepted ones, one in as many is built


@dataclass(frozen=True)
class Case:
    """One input: its kind, its text, and the lines that were changed, where that is known, with what stood there."""

    kind: str
    text: bytes
    lines: tuple[int, ...] = ()
    before: str = ""


@dataclass
class Tally:
    """What came of many inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    placed: int = 0
    """Those refused whose first error lies on a line that was changed, or names one."""
    located: int = 0
    """Those refused of which the changed lines are known."""
    slowest: float = 0.0
    built: int = 0
    run: int = 0
    away: list[tuple[Case, str]] = field(default_factory=list)
    """Some of those whose first error lies elsewhere."""

    @property
    def rate(self) -> float:
        return self.placed / max(1, self.located)


def texts() -> list[str]:
    """The bundled specs that are small enough to be changed often."""
    found = []
    for name in bundled():
        with open(os.path.join(folder(), *f"{name}.yaml".split("/")), encoding="utf-8") as file:
            text = file.read()
        if "extends:" not in text:
            found.append(text)
    return found


# --- mutants of lines ------------------------------------------------------------------------------------------------

WORDS = ["odd", "3", "-1", "0.5", "null", "true", "=width", "=1 / 0", "[]", "{}", "[1, 2]", "'x'", "=index", "relu", ""]


def _indented(line: str, random: Random) -> str:
    step = random.choice([1, 2, 4])
    return " " * step + line if random.random() < 0.5 else line.removeprefix(" " * step)


def _dropped(line: str, random: Random) -> str:
    at = random.randrange(len(line))
    return line[:at] + line[at + 1 :]


def _renamed(line: str, random: Random) -> str:
    starts = [i for i, c in enumerate(line) if c.isalpha() and (i == 0 or not line[i - 1].isalnum())]
    if not starts:
        return line
    at = random.choice(starts)
    return line[:at] + random.choice("qxz_") + line[at + random.randint(0, 1) :]


def _retyped(line: str, random: Random) -> str:
    key, colon, value = line.partition(": ")
    return f"{key}{colon}{random.choice(WORDS)}" if colon and not value.startswith("#") else line


LINE_CHANGES = {"indented": _indented, "dropped": _dropped, "renamed": _renamed, "retyped": _retyped}


def mutant_of_lines(text: str, random: Random) -> Case:
    lines = text.split("\n")
    before = list(lines)
    used = [i for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    at = random.choice(used)
    kind = random.choice([*LINE_CHANGES, "removed", "doubled", "swapped"])
    if kind in LINE_CHANGES:
        lines[at] = LINE_CHANGES[kind](lines[at], random)
        changed = (at + 1,)
    elif kind == "removed":
        del lines[at]
        changed = (at, at + 1)
    elif kind == "doubled":
        lines.insert(at, lines[at])
        changed = (at + 1, at + 2)
    else:
        other = random.choice(used)
        lines[at], lines[other] = lines[other], lines[at]
        changed = (at + 1, other + 1)
    return Case(f"line {kind}", "\n".join(lines).encode(), changed, before[at])


# --- mutants of bytes ------------------------------------------------------------------------------------------------


def mutant_of_bytes(text: str, random: Random) -> Case:
    data = bytearray(text.encode())
    at = random.randrange(len(data))
    for _ in range(random.choice([1, 1, 3, 20])):
        data[min(len(data) - 1, at + random.randint(0, 40))] = random.choice(
            [random.randrange(256), *b"{}[]:,-=\"' \n\t"]
        )
    if random.random() < 0.2:
        del data[at:]
    return Case("bytes", bytes(data))


# --- specs of the grammar --------------------------------------------------------------------------------------------

VALUES: list[Any] = [
    1,
    2,
    3,
    4,
    8,
    "=width",
    "=width * 2",
    "=c_in",
    "=v",
    "=n",
    0,
    -1,
    [3, 3],
    None,
    True,
    "relu",
    "=index",
    1e-3,
]
LEAVES = ["relu", "act", "norm", "batch_norm", "flatten", "tanh", "global_avg_pool", "odd", "b", "tokens", "layer_norm"]
CALLS: dict[str, list[str]] = {
    "conv": ["out", "kernel", "stride", "padding", "groups", "bias", "dilation"],
    "max_pool": ["kernel", "stride", "padding", "dilation", "ceil_mode"],
    "avg_pool": ["kernel", "stride", "padding", "count_include_pad"],
    "linear": ["out"],
    "dropout": ["p"],
    "adaptive_avg_pool": ["size"],
    "conv_norm_act": ["out", "kernel", "stride"],
    "shortcut": ["out", "stride"],
    "attention": ["heads"],
    "window_attention": ["heads", "window", "shift"],
    "upsample": ["scale"],
    "b": ["w"],
}


LOOPS: list[Any] = [
    {"v": [1, 2]},
    {"v": "=range(3)"},
    {"v": 3},
    {"as": ["v", "u"], "rows": [[1, 2], [3, "=width"]]},
    {"as": ["v"], "rows": "=[[1], [2]]"},
    {"as": ["v"], "rows": [[1], [2, 3]]},
    [{"v": 1, "u": 2}, {"u": 3, "v": "=width"}],
    [{"v": 1}, {"u": 3}],
    [],
]


SHARED = ["a", "a", "a", "b", "='a'", "=width", None]


def node(random: Random, depth: int) -> Any:
    choice = random.random()
    if depth > 4 or choice < 0.3:
        made: Any = random.choice(LEAVES)
    elif choice < 0.65:
        name = random.choice(list(CALLS))
        given = random.sample(CALLS[name], random.randint(1, min(3, len(CALLS[name]))))
        if name == "conv":
            given = list({"out": 0, "kernel": 0} | dict.fromkeys(given))
        made = {name: {key: random.choice(VALUES[: random.choice([4, 18])]) for key in given}}
    elif choice < 0.75:
        made = {random.choice(["add", "concat", "multiply"]): [sequence(random, depth + 1) for _ in range(2)]}
    elif choice < 0.82:
        made = {"for": random.choice(LOOPS), "body": sequence(random, depth + 1)}
        if random.random() < 0.3:
            made["let"] = {"n": random.choice(VALUES)}
    elif choice < 0.9:
        made = {random.choice(["save", "load", "output"]): random.choice(["a", "b", "=width"])}
        if random.random() < 0.2:
            made = {random.choice(["add", "concat"]): {"load": random.choice([["a", "b"], ["a"], "=['a']", "=width"])}}
    elif choice < 0.94:
        name = random.choice(["side", "='s' + str(width)", "=index"])
        made = {"aux": {"name": name, "weight": 0.3, "body": sequence(random, depth + 1)}}
    elif choice < 0.96:
        made = {"let": random.choice([{"n": random.choice(VALUES)}, {"width": 3}, {}, 3])}
    elif choice < 0.98:
        made = {"share": random.choice(SHARED)}
    else:
        made = sequence(random, depth + 1)
    if isinstance(made, dict) and random.random() < 0.15:
        made[random.choice(["when", "repeat", "checkpoint", "init", "name"])] = random.choice(VALUES)
    if isinstance(made, dict) and random.random() < 0.15:
        made["share"] = random.choice(SHARED)
    return made


def sequence(random: Random, depth: int = 0) -> Any:
    nodes = [node(random, depth) for _ in range(random.randint(0 if depth else 1, 4))]
    if random.random() < 0.15:
        return {f"part{i}": one for i, one in enumerate(nodes)}
    return nodes


def of_grammar(random: Random) -> Case:
    spec: dict[str, Any] = {
        "archspec": 1,
        "input": random.choice([[3, 8, 8], [2, 5, 7], [4, 1, 4], [6], [9, 4]]),
        "vars": {"width": 4},
        "defaults": {"act": "relu", "norm": random.choice(["batch_norm", "none"])},
        "blocks": {"b": {"args": {"w": 4}, "body": sequence(random, 2)}},
        "network": sequence(random),
    }
    if random.random() < 0.1:
        key = random.choice([*spec, "init", "expect", "train", "variants"])
        spec[key] = random.choice([None, "=width", [], {}, 3, {"a": None}, {"conv": {"weight": 0}}])
    return Case("grammar", yaml.safe_dump(spec, sort_keys=False).encode())


def cases(count: int, seed: int) -> Iterator[Case]:
    random = Random(seed)
    known = texts()
    for _ in range(count):
        choice = random.random()
        if choice < 0.5:
            yield mutant_of_lines(random.choice(known), random)
        elif choice < 0.65:
            yield mutant_of_bytes(random.choice(known), random)
        else:
            yield of_grammar(random)


# --- what must hold of each ------------------------------------------------------------------------------------------


def check_one(case: Case, tally: Tally) -> None:
    """Raises `AssertionError` where an input is neither refused in words nor works, and whatever else it causes."""
    began = time.process_time()
    try:
        tree = resolve_extends(reading.read(case.text, "net.yaml"), "net.yaml", "net.yaml")
        file = SpecFile("net.yaml", "net", tree)
        checked = file.check([None])
        found = checked.diagnostics
    except Fault as fault:  # as `open_file` does
        checked, found = None, (fault.diagnostic(),)
    shown = [one.render() for one in found]
    seconds = time.process_time() - began
    tally.slowest = max(tally.slowest, seconds)
    assert seconds < MAX_SECONDS, (seconds, case.text)
    assert all(text and "Traceback" not in text and "fault of archspec" not in text for text in shown), shown
    assert all(one.mark or one.code == "too-large" for one in found), found
    if checked is None or found:
        tally.outcomes["refused"] += 1
        if case.lines and found[0].code != "expect-unmet":  # another network is sound, but for its figures
            tally.located += 1
            if _names(found, case):
                tally.placed += 1
            elif len(tally.away) < 40:
                tally.away.append((case, shown[0]))
        return
    (spec,) = checked.specs
    tally.outcomes["accepted"] += 1
    again = file.check([None]).specs[0]
    assert again.plan.to_dict() == spec.plan.to_dict()
    if tally.outcomes["accepted"] % EACH == 0:
        _build(spec, tally)


def _names(found: tuple[Diagnostic, ...], case: Case) -> bool:
    """Whether the first error lies on a changed line, or beside it, or names it or a word that stood there."""
    first = found[0]
    told = first.render()
    near = {line + step for line in case.lines for step in (-1, 0, 1)}
    if first.mark is not None and first.mark.line in near:
        return True
    words = set(re.findall(r"\w+", case.before))
    named = words.intersection(re.findall(r"`(\w+)`", told))
    return bool(named) or any(f"net.yaml:{line}:" in told or f"line {line}" in told for line in near)


def _build(spec: Spec, tally: Tally) -> None:
    """Hold the module to the plan: its parameters, and the shapes that it gives."""
    plan = spec.plan
    device = "cpu" if plan.macs < SMALL and plan.params < SMALL // 10 else "meta"
    module = spec.build(device).eval()
    assert sum(one.numel() for one in module.parameters() if one.requires_grad) == plan.params
    with torch.no_grad():
        result = module(*(torch.zeros(2, *shape, device=device) for shape in plan.inputs.values()))
    output, named = result if isinstance(result, tuple) else (result, {})
    assert tuple(output.shape[1:]) == plan.output
    assert {name: tuple(one.shape[1:]) for name, one in named.items()} == plan.outputs
    tally.built += 1
    tally.run += device == "cpu"


def fuzz(count: int, seed: int) -> Tally:
    """Hold many inputs to what must be. Raises what the first that fails causes, with its text."""
    tally = Tally()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, case in enumerate(cases(count, seed)):
        try:
            check_one(case, tally)
        except SpecError:
            raise
        except Exception as error:
            error.add_note(f"input {number} of seed {seed} ({case.kind}):\n{case.text.decode(errors='replace')}")
            raise
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert grown < MAX_GROWTH, grown
    return tally
