"""`archspec sample`: architectures drawn from ranges of variables, those that meet constraints, with their figures."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import note_measured, plugin_option, set_option, variant_option
from archspec.foundation.errors import Fault, SpecError, UsageError, join_words
from archspec.foundation.spelling import did_you_mean

if TYPE_CHECKING:
    from archspec.foundation.formulas import Formula
    from archspec.plan.plan import Plan
    from archspec.spec import Spec
    from archspec.views.space import Space

_FIGURES = ("params", "macs", "layers", "memory")
_UNITS = {"K": "e3", "M": "e6", "G": "e9", "T": "e12"}
_NUMBER = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([KMGT])\b")


@click.command("sample")
@click.argument("spec")
@click.option(
    "--space",
    "space_file",
    metavar="FILE",
    required=True,
    help="The variables and their values: `width: {from: 16, to: 128, step: 8}`, in YAML.",
)
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="FORMULA",
    help="What has to hold, of figures and variables: 'params <= 5M and macs < 1.5G'. May be repeated.",
)
@click.option("--count", type=click.IntRange(1), default=10, show_default=True, help="How many architectures.")
@click.option(
    "--draws", type=click.IntRange(1), metavar="N", help="How many are drawn at most.  [default: 100 times --count]"
)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True, help="The batch that `memory` is for.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draws.")
@variant_option
@set_option
@plugin_option
def command(
    spec: str,
    space_file: str,
    constraints: tuple[str, ...],
    count: int,
    draws: int | None,
    batch: int,
    seed: int,
    variant: str | None,
    settings: tuple[str, ...],
) -> None:
    """Draw architectures of SPEC from a space of its variables, and print those that meet all constraints.

    Each is a line of JSON: its `vars`, `params`, `macs`, `layers` and `output`. No two are the same.
    """
    from archspec.spec import load

    base = load(spec, variant, set=settings)
    known = dict(base.plan.vars)
    search = _Search(base, _read_space(space_file, known), _parse_constraints(constraints, known), batch)
    began = time.perf_counter()
    for one in search.run(Random(seed), count, draws or 100 * count):
        click.echo(json.dumps(one))
    seconds = time.perf_counter() - began
    if not search.found:
        raise search.nothing()
    click.echo(search.summary(seconds), err=True)
    note_measured()


@dataclass
class _Search:
    base: Spec
    space: Space
    constraints: list[tuple[str, Formula]]
    batch: int
    found: int = 0
    without: Counter[str] = field(default_factory=Counter)
    """Those that gave no network, by the reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Those that did not meet a constraint, by the first."""
    seen: set[str] = field(default_factory=set)

    def run(self, random: Random, count: int, draws: int) -> Iterator[dict[str, Any]]:
        for _ in range(draws):
            if self.found == count or len(self.seen) >= self.space.size:
                return
            given = self.space.draw(random)
            key = json.dumps(given)
            if key in self.seen:
                continue
            self.seen.add(key)
            if one := self.try_one(given):
                self.found += 1
                yield one

    def try_one(self, given: dict[str, Any]) -> dict[str, Any] | None:
        """An architecture that meets the constraints, as data."""
        try:
            plan = self.base.replace(given).plan
        except SpecError as error:
            self.without[error.diagnostics[0].message] += 1
            return None
        figures = {"params": plan.params, "macs": plan.macs, "layers": plan.root.layers}
        if any("memory" in formula.names for _, formula in self.constraints):
            figures["memory"] = _memory(plan, self.batch)
        for text, formula in self.constraints:
            if not _holds(text, formula, {**_lists(plan), **figures}):
                self.failed[text] += 1
                return None
        return {"vars": given, **figures, "output": list(plan.output)}

    def summary(self, seconds: float) -> str:
        rate = f"{len(self.seen) / max(seconds, 1e-9):,.0f} a second"
        return f"{self.found:,} of {len(self.seen):,} architectures meet the constraints{self._rest()}; {rate}"

    def _rest(self) -> str:
        rest = [f"{sum(self.without.values()):,} give no network"] if self.without else []
        rest += [f"{number:,} fail `{text}`" for text, number in self.failed.most_common()]
        return f" ({', '.join(rest)})" if rest else ""

    def nothing(self) -> UsageError:
        reason, times = (self.without.most_common(1) or [("", 0)])[0]
        help = f"most often, {reason}" if times > sum(self.failed.values()) else "give --draws, or a larger space"
        return UsageError(
            f"none of {len(self.seen):,} architectures that were drawn meets the constraints{self._rest()}", help=help
        )


def _read_space(file: str, known: dict[str, Any]) -> Space:
    from archspec.foundation import reading
    from archspec.language.finder import FoundFile
    from archspec.views.space import read_space

    try:
        made = read_space(reading.read(FoundFile(file, file).read(), file), known)
    except Fault as fault:
        raise SpecError([fault.diagnostic()]) from None
    if isinstance(made, list):
        raise SpecError([fault.diagnostic() for fault in made])
    return made


def _parse_constraints(texts: tuple[str, ...], known: dict[str, Any]) -> list[tuple[str, Formula]]:
    from archspec.foundation.formulas import parse

    made = []
    for text in texts:
        try:
            formula = parse(_NUMBER.sub(lambda match: match[1] + _UNITS[match[2]], text))
        except Fault as fault:
            raise UsageError(f"--constraint: {fault.message}", help=fault.help) from None
        for name in sorted(formula.names):
            if name not in known and name not in _FIGURES:
                names = (*_FIGURES, *known)
                help = did_you_mean(name, names) or f"there are {join_words(names)}"
                raise UsageError(f"--constraint: there is no figure or variable `{name}`", help=help)
            if name in known and name in _FIGURES:
                message = f"--constraint: `{name}` is a figure, and a variable of the spec too"
                raise UsageError(message, help="give the variable another name")
        made.append((text, formula))
    return made


def _holds(text: str, formula: Formula, scope: dict[str, Any]) -> bool:
    try:
        value = formula.evaluate(scope)
    except Fault as fault:
        raise UsageError(f"--constraint: {fault.message}", help=fault.help) from None
    if not isinstance(value, bool):
        raise UsageError(f"--constraint: `{text}` is neither true nor false", help="write `params <= 5M`, say")
    return value


def _memory(plan: Plan, batch: int) -> int:
    from archspec.views.memory import training_memory

    return training_memory(plan, batch, "sgd", {"momentum": 0.9}).peak


def _lists(plan: Plan) -> dict[str, Any]:
    """The variables of a plan, with lists for its tuples."""
    from archspec.foundation.frozen import as_json

    return {name: as_json(value) for name, value in plan.vars}
