"""What is found in networks that can be elaborated: figures and recipes that do not fit, and odd layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping as ABCMapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from archspec.foundation.errors import Diagnostic, Fault, Frame, Mark
from archspec.foundation.report import Report
from archspec.foundation.shapes import show
from archspec.foundation.source import Mapping, Scalar, Value
from archspec.language.document import Document
from archspec.language.sections import Sections
from archspec.layers.registry import primitives
from archspec.plan.plan import Plan
from archspec.plan.remarks import note_absent, note_remarks
from archspec.plan.sequences import has_both, note_sequences
from archspec.plan.sharing import report_crossed
from archspec.plan.unused import report_ports, report_unused

if TYPE_CHECKING:
    from archspec.recipe import Recipe

MAX_DECIMALS = 20
"""Of a figure that a file vouches for; nine tell single operations apart."""


def check_figures(sections: Sections, plan: Plan, report: Report, frames: tuple[Frame, ...]) -> None:
    """Hold the plan to the figures that the file vouches for, to the digits written."""
    section = sections.root.get("expect")
    for key, figure in sections.expect.items():
        assert isinstance(section, Mapping)
        mark, value = section.entries[key]
        if key == "output":
            expected, actual = show(figure), show(plan.output)
        elif key == "params":
            expected, actual = f"{figure:,}", f"{plan.params:,}"
        else:
            digits = _count_decimals(value.text) if isinstance(value, Scalar) else 3
            if digits > MAX_DECIMALS:
                message = f"`gmacs` has {digits:,} decimals; at most {MAX_DECIMALS} are compared"
                report.add(Fault("out-of-range", message, mark), frames=frames)
                continue
            expected, actual = f"{figure:.{digits}f}", f"{plan.macs / 1e9:.{digits}f}"
            if not figure and plan.macs:
                actual = f"{plan.macs / 1e9:g}"
        if expected != actual:
            report.add(Fault("expect-unmet", f"`{key}` is {actual}, but {expected} is expected", mark), frames=frames)


def check_network(sections: Sections, plan: Plan, report: Report, frames: tuple[Frame, ...]) -> None:
    """Report what is wrong with a network as a whole: tensors that nothing uses, sharing that cannot be, figures."""
    if plan.root.loads or len(plan.takes) > 1:  # nothing else lets go of a tensor
        report_unused(plan.graph, report)
        report_ports(plan.graph, report)
    if plan.root.shares:
        report_crossed(plan.graph, report)
    check_figures(sections, plan, report, frames)


def report_unused_variables(
    document: Document,
    unused: frozenset[str],
    given: ABCMapping[str, Mark],
    report: Report,
    *,
    elsewhere: bool,
    whole: bool,
) -> None:
    """Refuse settings of variables on which nothing depends, and note such variables of the file itself.

    Args:
        document: The file.
        unused: The variables.
        given: The places of those that are set.
        report: What gets the faults and notes.
        elsewhere: Whether other variants of the file may use them.
        whole: Whether the variables of the file are noted, since all of its variants are known.
    """
    for name in sorted(unused & given.keys()):
        help = f"write `={name}` where its value belongs"
        help += "; or choose a variant that uses it" if elsewhere else ": a block sees only what it is given"
        report.add(Fault("usage", f"`{name}` is set, but nothing depends on it", given[name], help=help))
    section = document.root.get("vars")
    for name, (mark, _) in section.entries.items() if whole and isinstance(section, Mapping) else ():
        if name in unused and name not in given and mark.text is document.root.mark.text:
            report.note(f"nothing depends on the variable `{name}`", mark)


def only_figures(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether nothing is wrong but the figures that a file vouches for, or nothing at all."""
    return all(one.code == "expect-unmet" for one in diagnostics)


def check_recipe(recipe: Recipe, root: Mapping, plan: Plan, report: Report, frames: tuple[Frame, ...]) -> None:
    """Report what is wrong with the recipe of a spec's `root`, and where nothing is, what has no effect."""
    from archspec.recipe import effects
    from archspec.recipe.places import place

    section = root.get("train")
    faults = [*_faults_of_recipe(recipe, section, plan)]
    for wrong in faults:
        report.add(wrong, frames=frames)
    for key, message in () if faults else effects.idle_in(recipe):
        report.note(message, place(section, key) or root.mark)


def _faults_of_recipe(recipe: Recipe, section: Value | None, plan: Plan) -> Iterator[Fault]:
    """What the recipe says of the network's parts and input that they do not fit."""
    from archspec.recipe import columns, effects, images, outputs, parts

    inputs = {one.name: one.shape for one in plan.takes}
    image = columns.image_among(inputs)
    yield from images.faults_in(section, recipe, inputs[image] if image else plan.input)
    yield from columns.faults_in(section, recipe.columns, inputs)
    yield from outputs.faults_in(section, recipe.outputs, plan.outputs, plan.aux)
    yield from effects.faults_in(section, recipe)
    if recipe.freeze is None and recipe.lr_scale is None:
        return
    known = primitives()
    layers = []
    for one in plan.layers:
        buffers = known[one.layer.primitive].buffers(one.layer.arguments, one.input)
        layers.append((one.path, [name for name, _ in one.layer.parameters], buffers > 0))
    merges = {group.path for group in plan.graph.groups if group.node.is_merge}
    yield from parts.faults_in(section, recipe.freeze, recipe.lr_scale, parts.Outline(layers, merges))


def note_what_is_hardly_meant(plans: Sequence[Plan], network: Value | None, report: Report) -> None:
    """Note odd layers of plans and, where these are all that a file gives, what of its `network` none of them has."""
    places = note_remarks([plan.root for plan in plans], report)
    for plan in plans if has_both(places.primitives) else ():
        note_sequences(plan, report)
    if network is not None:
        note_absent(network, places, report, has_variants=len(plans) > 1)


def _count_decimals(text: str) -> int:
    """How many decimals a number is written with: 3 for `4.230`, 5 for `4.4e-4`; 3 for a formula."""
    try:
        exponent = Decimal(text).as_tuple().exponent
    except InvalidOperation:
        return 3
    return max(0, -exponent) if isinstance(exponent, int) else 3
