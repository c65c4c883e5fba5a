"""Specs, loaded: from a file or name to a plan, and from there to a module."""

from __future__ import annotations

import os
from collections.abc import Mapping as ABCMapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from archspec.findings import (
    check_network,
    check_recipe,
    note_what_is_hardly_meant,
    only_figures,
    report_unused_variables,
)
from archspec.foundation import reading, source
from archspec.foundation.errors import Diagnostic, Fault, Frame, Mark, Note, SpecError, Text, UsageError
from archspec.foundation.frozen import freeze_pairs
from archspec.foundation.report import Report, TooManyDiagnostics, locate_diagnostics
from archspec.foundation.source import Mapping, plain
from archspec.foundation.values import MAX_WORK, BudgetExceeded, budget
from archspec.language import document as documents, finder
from archspec.language.document import Document
from archspec.language.extends import refuse_extends, resolve_extends
from archspec.language.parsed import parse_sections
from archspec.language.sections import Sections, compute_sections
from archspec.language.settings import Setting, make_setting, parse_setting
from archspec.layers.registry import primitives
from archspec.plan.elaborate import elaborate
from archspec.plan.idle import report_idle
from archspec.plan.nodes import Node
from archspec.plan.plan import Plan
from archspec.plugins import load_installed
from archspec.prepared import FROM_CALL, Alike, PreparedFile, prepare

if TYPE_CHECKING:
    from torch import nn

    from archspec.plan.partial import Hidden, PartialPlan
    from archspec.recipe import Recipe


MAX_STEPS = 200_000  # steps of all variants of a file
TOO_MUCH_WORK = f"the formulas take more than {MAX_WORK:,} operations together"
STEPS_OF_VARIANT = 20  # however small it is


@dataclass(frozen=True, repr=False)
class Spec:
    """A valid spec, with its variant and settings chosen.

    `load` and `from_dict` make it. It is never changed: `replace` and `without_aux` give another one.
    """

    file: str
    """The file it was read from, as errors show it."""
    variant: str | None
    """The variant that was chosen, or `None` for the file as it stands."""
    plan: Plan
    """The network: every layer with its shapes, parameters and MACs."""
    train: dict[str, Any] = field(repr=False)
    """Its `train` section with formulas computed. Internal: use `recipe`."""
    root: Mapping = field(repr=False)
    """Its file with variant and settings merged in. Internal: use `resolved`."""
    spec_file: SpecFile
    """The file with its settings, from which `replace` starts."""
    notes: tuple[Note, ...] = ()
    """Remarks on its file that are no errors."""
    unused_vars: frozenset[str] = frozenset()
    """Variables of the file on which nothing depends, with this variant and these settings."""

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The whole spec as data (JSON types), variant and settings merged in: `from_dict` makes the same of it."""
        return {**plain(self.root), "name": self.plan.name}

    @cached_property
    def recipe(self) -> Recipe:
        """What the `train` section says, and the defaults; as it is written, the section is part of `resolved`."""
        from archspec.recipe import Recipe

        recipe = Recipe.from_dict(self.train)
        if len(self.plan.takes) == 1 and not recipe.columns.inputs:
            return recipe
        return replace(recipe, columns=recipe.columns.fitted({one.name: one.shape for one in self.plan.takes}))

    def __repr__(self) -> str:
        return f"<Spec {self.file}: {self.plan!r}>"

    def _repr_svg_(self) -> str | None:
        """How a notebook shows it."""
        return self.plan._repr_svg_()

    def _repr_html_(self) -> str | None:
        return self.plan._repr_html_()

    def without_aux(self) -> Spec:
        """The same spec without its auxiliary classifiers, for a network that is not trained further."""
        return replace(self, plan=self.plan.without_aux())

    def build(self, device: str = "cpu", *, aux: bool = True) -> nn.Module:
        """Build the network as a torch module with initial weights, drawn from torch's global random generator.

        The module takes batches `(N, *plan.input)` and returns `(N, *plan.output)`. A network with named outputs
        returns a tuple of that tensor and a dictionary of the others by name; so does one with auxiliary classifiers,
        while it is in training mode.

        Args:
            device: Where the parameters lie: `"cpu"`, `"cuda"`, or `"meta"`, where they take no memory.
            aux: Whether auxiliary classifiers are built too.

        Example:
            ```python
            model = archspec.load("resnet18").build()
            logits = model(torch.randn(8, 3, 224, 224))  # (8, 1000)
            ```
        """
        from archspec.assembly.assemble import assemble

        return assemble((self if aux else self.without_aux()).plan, device)

    def replace(self, vars: ABCMapping[str, Any] | None = None, set: Sequence[str] = ()) -> Spec:
        """The same file and variant with more settings laid over those that it has.

        What the file holds is parsed once, and the plans that come of one spec share the parts that other values of
        variables leave as they are: of a ResNet, thousands are made in a second.

        Args:
            vars: Values of the file's variables.
            set: Settings as in `load`, each `"name=value"` or `"dotted.path=value"`.

        Raises:
            SpecError: The spec is wrong with these settings.

        Example:
            ```python
            wider = spec.replace(vars={"widths": [32, 64]}, set=["train.epochs=3"])
            ```
        """
        return self.spec_file.with_settings(vars, set).spec(self.variant)


@dataclass(frozen=True)
class SpecFile:
    """A spec file, read and checked against its outline; its variants are still to be elaborated."""

    file: str
    name: str
    """Its name where the file gives none: the file's own."""
    tree: source.Value
    """Its content, laid over that of the file that it extends."""
    vars: ABCMapping[str, Any] = field(default_factory=dict)
    set: tuple[str, ...] = ()
    recipe: source.Value | None = None
    """A recipe that is laid over the `train` section, below settings."""
    prepared: PreparedFile = field(default_factory=PreparedFile, repr=False, compare=False)
    """What is kept of it for other values of its variables."""

    def with_recipe(self, file: finder.FoundFile) -> SpecFile:
        """The same file with a recipe's file laid over its `train` section. Raises `UsageError`, `SpecError`."""
        try:
            return replace(self, recipe=reading.read(file.read(), file.shown), prepared=PreparedFile())
        except Fault as fault:
            raise SpecError([fault.diagnostic()]) from None

    def with_settings(self, vars: ABCMapping[str, Any] | None = None, set: Sequence[str] = ()) -> SpecFile:
        """The same file with settings laid over it, after those that it has."""
        added = (set,) if isinstance(set, str) else set
        return replace(self, vars={**self.vars, **(vars or {})}, set=(*self.set, *added))

    def check(self, variants: Sequence[str | None] | None = None) -> Checked:
        """Elaborate variants (all of them by default, and the file without one), and gather what is wrong."""
        before = len(primitives())
        checked = self._check(variants)
        if not checked.diagnostics:
            return checked
        # an installed package may know a name that nothing of ours has
        from archspec.recipe.added import load_added

        has_more = load_added()
        return self._check(variants) if (load_installed() and len(primitives()) > before) or has_more else checked

    def _check(self, variants: Sequence[str | None] | None) -> Checked:
        section = self.tree.get("variants") if isinstance(self.tree, Mapping) else None
        count = len(section.entries) if variants is None and isinstance(section, Mapping) else len(variants or ())
        if count > 1:
            checked = self._gather(variants, Alike())
            if only_figures(checked.diagnostics) and not checked.notes:
                return checked
        return self._gather(variants)

    def _gather(self, variants: Sequence[str | None] | None, alike: Alike | None = None) -> Checked:
        """What is found in variants, which share what is `alike`, but then the first error in a network ends it all."""
        report = Report()
        specs: list[Spec] = []
        known: list[Spec] = []
        try:
            with budget():
                self._check_all(variants, report, specs, known, alike)
        except TooManyDiagnostics:
            pass
        except BudgetExceeded as error:
            report.diagnostics.append(Fault("too-large", TOO_MUCH_WORK).diagnostic(error.mark or self.tree.mark))
        wanted = (None,) if variants is None else tuple(variants)
        diagnostics = locate_diagnostics(report.diagnostics, self.tree)
        others = known if diagnostics and only_figures(diagnostics) else ()
        return Checked(tuple(specs), tuple(diagnostics), report.notes, self, wanted, known=tuple(others))

    def _check_all(
        self,
        variants: Sequence[str | None] | None,
        report: Report,
        specs: list[Spec],
        known: list[Spec],
        alike: Alike | None,
    ) -> None:
        """Elaborate variants: `specs` gets those that are valid, `known` those of which only figures are wrong, too.

        Raises `TooManyDiagnostics` and `BudgetExceeded`.
        """
        document = documents.parse(self.tree, report)
        outlined = not report.diagnostics
        wanted = [] if document is None else [None, *document.variants] if variants is None else variants
        for variant in wanted:
            assert document is not None
            report.work += document.size + STEPS_OF_VARIANT
            if report.work > MAX_STEPS:
                message = f"the variants take more than {MAX_STEPS:,} steps together"
                report.add(Fault("too-large", message, document.variants.get(variant or "")), self.tree.mark)
                break
            before = report.count
            spec = self._elaborate(document, variant, report, alike)
            if spec is not None and outlined:
                known.append(spec)
                specs += [spec] if report.count == before else []
            elif alike is not None:
                break
        if document is not None and specs and not report.diagnostics:
            self._check_together(document, specs, report, whole=len(wanted) == 1 + len(document.variants))
            if report.diagnostics:
                specs.clear()
        if len(specs) < len(wanted) and not report.diagnostics:
            message = "the network is not valid, but archspec cannot say why"
            report.add(Fault("node-form", message, self.tree.mark, help="this is a fault of archspec: report it"))

    def _check_together(self, document: Document, specs: list[Spec], report: Report, *, whole: bool) -> None:
        """Report what none of some sound variants uses, and note what is hardly meant; `whole` where these are all."""
        self._report_unused(document, specs, report, whole=whole)
        report_idle(self.tree, [spec.root for spec in specs], report, whole=whole)
        network = self.tree.get("network") if isinstance(self.tree, Mapping) else None
        shown = network if whole and not self.set and not self.vars else None
        note_what_is_hardly_meant([spec.plan for spec in specs], shown, report)

    def _report_unused(self, document: Document, specs: list[Spec], report: Report, *, whole: bool) -> None:
        """Refuse settings of variables on which nothing depends, and note such variables of the file itself."""
        unused = frozenset.intersection(*(spec.unused_vars for spec in specs))
        if not unused:
            return
        settings = [parse_setting(document.root, assignment) for assignment in self.set]
        given = {one.keys[1]: one.mark for one in settings if one.keys[0] == "vars" and len(one.keys) > 1}
        given |= dict.fromkeys(self.vars, FROM_CALL)
        elsewhere = len(specs) < 1 + len(document.variants)
        report_unused_variables(document, unused, given, report, elsewhere=elsewhere, whole=whole)

    def spec(self, variant: str | None) -> Spec:
        """One variant, or the file without one. Raises `SpecError`."""
        if self.vars and (made := self._from_prepared(variant)) is not None:
            return made
        checked = self.check([variant])
        if not checked.specs:
            raise SpecError(checked.diagnostics)
        return replace(checked.specs[0], notes=checked.notes)

    def _from_prepared(self, variant: str | None) -> Spec | None:
        """A variant as a spec; `None` where anything is out of the ordinary, of which `check` says what it is."""
        key, report = (variant, self.set, len(primitives())), Report()
        known = self.prepared.known
        try:
            with budget():
                if key not in known:
                    known[key] = None
                    made = prepare(self.tree, variant, self._base_settings, report)
                    known[key] = None if report.count else made
                prepared = known[key]
                found = prepared.elaborate(self.vars, report) if prepared else None
                if prepared is None or found is None:
                    return None
                spec = self._complete(variant, *found, report)
                self._report_unused(prepared.document, [spec], report, whole=not prepared.document.variants)
        except (Fault, TooManyDiagnostics, BudgetExceeded):
            return None
        return None if report.count else replace(spec, notes=prepared.notes + report.notes)

    def _base_settings(self, document: Document) -> list[Setting]:
        """All settings but those of `vars`, in the order in which they are laid over the file. Raises `Fault`."""
        recipe = [] if self.recipe is None else [Setting(("train",), self.recipe, self.recipe.mark)]
        return recipe + [parse_setting(document.root, assignment) for assignment in self.set]

    def settings_of(self, document: Document) -> list[Setting]:
        """All settings, in the order in which they are laid over the file. Raises `Fault`."""
        settings = self._base_settings(document)
        for name, value in self.vars.items():
            written = source.from_python(value, FROM_CALL)
            settings.append(make_setting(document.root, f"vars.{name}", written, FROM_CALL))
        return settings

    def _elaborate(self, document: Document, variant: str | None, report: Report, alike: Alike | None) -> Spec | None:
        """A variant as a spec, or `None` where more than its figures is wrong. Reports what is."""
        before = report.count
        try:
            settings = self.settings_of(document)
            root = document.resolve(variant, settings)
            for fault in documents.faults_of(root) if settings else ():
                report.add(fault)
        except Fault as fault:
            report.add(fault, self.tree.mark)
            return None
        frames = (Frame(f"variant `{variant}`", document.variants[variant]),) if variant else ()
        if alike is not None:
            made = alike.elaborate(root, report)
        else:
            sections = compute_sections(parse_sections(root, report), root, report)
            node = elaborate(sections, report, frames)
            made = None if node is None else (sections, node)
        spec = None if made is None else self._complete(variant, *made, report, frames)
        return spec if report.count == before or only_figures(report.diagnostics) else None

    def _complete(
        self, variant: str | None, sections: Sections, node: Node, report: Report, frames: tuple[Frame, ...] = ()
    ) -> Spec:
        """A spec of an elaborated network. Reports what is wrong with it as a whole."""
        plan = Plan(
            name=sections.line("name") or self.name,
            variant=variant,
            file=self.file,
            takes=sections.inputs,
            root=node,
            description=sections.line("description"),
            source=sections.line("source"),
            vars=freeze_pairs(sections.vars),
            docs=tuple((one.name, one.doc, one.source) for one in sections.vocabulary.own.values() if one.doc),
        )
        check_network(sections, plan, report, frames)
        spec = Spec(self.file, variant, plan, sections.train, sections.root, self, unused_vars=sections.unused)
        if sections.train:
            check_recipe(spec.recipe, sections.root, plan, report, frames)
        return spec


@dataclass(frozen=True)
class Checked:
    """What a check found: the specs that are valid, everything that is wrong, and what is no error."""

    specs: tuple[Spec, ...]
    diagnostics: tuple[Diagnostic, ...]
    notes: tuple[Note, ...]
    file: SpecFile | None = None
    """What was checked; `None` for a text that is not YAML."""
    wanted: tuple[str | None, ...] = ()
    """The variants of which something is known, whatever is wrong."""
    partials: tuple[PartialPlan, ...] = ()
    """Of a text that is not YAML."""
    known: tuple[Spec, ...] = ()
    """Where nothing is wrong but figures that the file vouches for: its variants, those with other figures too."""

    @cached_property
    def partial(self) -> tuple[PartialPlan, ...]:
        """What is known although something is wrong: of the file as it stands, or of the variants asked for.

        Everything before an error, and after it wherever that does not depend on it. Empty where nothing is wrong.
        """
        if self.file is None or not self.diagnostics:
            return self.partials
        from archspec.partial import partial_plan

        file = self.file
        made = [partial_plan(file.tree, file.name, file.file, one, file.settings_of) for one in self.wanted]
        return tuple(one for one in made if one is not None)

    def hidden(self) -> dict[Diagnostic, Hidden]:
        """What each error hides: the nodes of which nothing is known because of it."""
        found: dict[Diagnostic, Hidden] = {}
        for plan in self.partial:
            for diagnostic, hidden in plan.hidden_by(self.diagnostics).items():
                found.setdefault(diagnostic, hidden)
        return found


def open_file(path_or_name: str | os.PathLike[str] | finder.FoundFile) -> tuple[SpecFile, str | None]:
    """A spec file, and the variant that its name asks for where it is a bundled variant's.

    Raises `UsageError` where there is no such file, and `SpecError` where it is not YAML.
    """
    found = path_or_name if isinstance(path_or_name, finder.FoundFile) else finder.find(os.fsdecode(path_or_name))
    try:
        tree = resolve_extends(reading.read(found.read(), found.shown), found.path, found.shown)
    except Fault as fault:
        raise SpecError([fault.diagnostic()]) from None
    return SpecFile(found.shown, name_of(found.shown), tree), found.variant


def name_of(path: str) -> str:
    """A network's name where its file gives none."""
    return path.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def load(
    path_or_name: str | os.PathLike[str],
    variant: str | None = None,
    vars: ABCMapping[str, Any] | None = None,
    set: Sequence[str] = (),
    recipe: str | os.PathLike[str] | finder.FoundFile | None = None,
) -> Spec:
    """Load a spec and compute its plan. Torch is not imported, unless a plugin's layer has to be measured.

    Args:
        path_or_name: A file's path, or the name of a bundled spec (`"resnet"`) or variant (`"resnet50"`).
        variant: A variant of the file; without it, the file as it stands.
        vars: Values of the file's variables, by name.
        set: Settings, each `"name=value"` for a variable or `"dotted.path=value"` for anything else; values in YAML.
        recipe: A file that is laid over the `train` section; `set` is laid over both.

    Raises:
        SpecError: The spec is wrong. It carries every independent mistake with its place.
        UsageError: There is no such file, or it cannot be read.

    Example:
        ```python
        spec = archspec.load("resnet50", vars={"num_classes": 37})
        spec.plan.params, spec.plan.output  # 23583845, (37,)
        ```
    """
    file, implied = open_file(path_or_name)
    if implied and variant is not None and variant != implied:
        raise UsageError(f"`{path_or_name}` is a variant itself; it has no variant `{variant}`")
    if recipe is not None:
        if not isinstance(recipe, finder.FoundFile):
            recipe = finder.FoundFile(os.fspath(recipe), os.fspath(recipe))
        file = file.with_recipe(recipe)
    return file.with_settings(vars, set).spec(implied if variant is None else variant)


def from_dict(data: dict[str, Any], name: str = "spec") -> Spec:
    """Load a spec from data: what `Spec.resolved` holds, or a spec file's content as Python values.

    Args:
        data: The keys of a spec file; texts that begin with `=` are formulas. `extends` is refused.
        name: What errors call it, and the network's name where `data` has none.

    Raises:
        SpecError: The spec is wrong.

    Example:
        ```python
        spec = archspec.from_dict({"archspec": 1, "input": [3, 8, 8], "network": ["flatten", {"linear": 10}]})
        ```
    """
    mark = Mark(Text(name, ()), 1, 1)
    try:
        tree = source.from_python(data, mark)
        refuse_extends(tree, mark)
    except Fault as fault:
        raise SpecError([fault.diagnostic()]) from None
    return SpecFile(name, name, tree).spec(None)


def build(
    path_or_name: str | os.PathLike[str],
    variant: str | None = None,
    vars: ABCMapping[str, Any] | None = None,
    set: Sequence[str] = (),
    device: str = "cpu",
    *,
    aux: bool = True,
) -> nn.Module:
    """Load a spec and build its module: `load(…)`, then `Spec.build`.

    Args:
        path_or_name: A file's path, or the name of a bundled spec or variant.
        variant: A variant of the file.
        vars: Values of the file's variables, by name.
        set: Settings, each `"name=value"` or `"dotted.path=value"`.
        device: Where the parameters lie; on `"meta"` they take no memory.
        aux: Whether auxiliary classifiers are built too.

    Raises:
        SpecError: The spec is wrong.
        UsageError: There is no such file, or it cannot be read.

    Example:
        ```python
        model = archspec.build("resnet18", vars={"num_classes": 37})
        ```
    """
    return load(path_or_name, variant, vars, set).build(device, aux=aux)


def _picture(plan: Plan) -> str:
    """A plan as SVG."""
    from archspec.views.drawing.svg import svg

    return svg(plan)


Plan._picture = staticmethod(_picture)
