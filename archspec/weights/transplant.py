"""Transplantation: the weights of one network into another of the same architecture whose parts have other names.

Both networks are run once in which nothing is computed, to see in which order their operations take up their
parameters. Parameters are then matched in that order, by the operation that uses them and by shape. Before anything is
written, copies of both networks are run with the same weights: equal outputs, layer by layer, are the proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from archspec.foundation.shapes import show
from archspec.weights.trace import Network, TransplantError, Use, form, tensors_of

__all__ = ["Example", "Loaded", "Skipped", "TransplantError", "transplant"]

SHOWN = 10
"""How many tensors an error names before it only counts the rest."""

Example = Tensor | Sequence[int]
"""A batch of inputs, or the shape of one sample, of which a batch is then drawn at random."""


@dataclass(frozen=True)
class Skipped:
    """A tensor that was not loaded: its name, and the reason, with the shapes or types that say why."""

    name: str
    """Its name in the network's `state_dict`, or in the source where the network does not have it."""
    reason: str
    """`missing` (the source does not have it), `unknown` (the network does not have it), `shape`, `dtype`, or `layer`:
    another tensor of the same layer does not fit."""
    detail: str
    """The shapes or types that differ, for people."""

    def to_dict(self) -> dict[str, str]:
        """The same as data (JSON types)."""
        return {"name": self.name, "reason": self.reason, "detail": self.detail}


@dataclass(frozen=True)
class Loaded:
    """What was loaded into a network, by the names of its `state_dict`, and what was not."""

    source: str
    """What the weights are called: a file, a torchvision model, or a network's class."""
    names: tuple[str, ...]
    """The tensors that were loaded."""
    skipped: tuple[Skipped, ...] = ()
    """The tensors that were not loaded, each with the reason."""
    proven: bool = False
    """Whether results were compared with the source's: a transplant's were; of a file there is nothing to run."""

    def render(self) -> str:
        """What happened as people read it: a line, and a line for each layer of which something was left out."""
        missing = sum(one.reason != "unknown" for one in self.skipped)
        count = f"{len(self.names)} of {len(self.names) + missing} tensors" if missing else f"{len(self.names)} tensors"
        proof = "; on a random input their layers give the source's results" if self.proven else ""
        lines = [f"weights loaded from {self.source}: {count}{proof}"]
        layers: dict[str, list[str]] = {}
        for one in self.skipped:
            layer, dot, tensor = one.name.rpartition(".")
            layers.setdefault(f"{layer}{dot}", []).append(f"{tensor} ({one.detail})")
        lines += [f"  not loaded: {layer}{', '.join(tensors)}" for layer, tensors in layers.items()]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """The same as data (JSON types)."""
        return {
            "source": self.source,
            "loaded": list(self.names),
            "not_loaded": [one.to_dict() for one in self.skipped],
            "proven": self.proven,
        }


def transplant(
    source: nn.Module,
    target: nn.Module,
    example: Example,
    *,
    source_example: Example | None = None,
    partial: bool = False,
    name: str | None = None,
) -> Loaded:
    """Copy the parameters and running statistics of `source` into `target`, another network of its architecture.

    The parts of the two networks may have different names. Tensors are matched in the order in which the networks use
    them in training (so auxiliary classifiers take part), by operation and shape. Before anything is written, copies of
    both networks must give bitwise equal results for the example: each layer, and the output (of several, the first or
    `logits`), in evaluation and in training, random layers at their expected value. The networks themselves are not
    run; `source`, and `target` where an error is raised, stay as they are.

    Args:
        source: The network that has the weights.
        target: The network that receives them; it is changed in place.
        example: A batch `(N, …)` for both networks, or the shape of one sample, as `Plan.input` has it.
        source_example: The same for `source` alone, where it takes another shape.
        partial: Whether to leave out layers of other shapes, and all that is used after the first operation that
            differs. What is loaded is proven as before; the layers that are left out give the same random numbers in
            both networks.
        name: What `Loaded.source` calls the source; without it, the name of its class.

    Returns:
        What was loaded, and with `partial` what was not.

    Raises:
        TransplantError: Tensors do not match or are left over, results differ (it names the first layer that does), or
            a network cannot be run on the example.

    Example:
        ```python
        spec = archspec.load("resnet18")
        model = spec.build()
        transplant(torchvision.models.resnet18(), model, spec.plan.input)
        ```
    """
    if any(tensor.is_meta for tensor in [*tensors_of(source).values(), *tensors_of(target).values()]):
        raise TransplantError("cannot transplant: one of the networks is on the device `meta`, so it holds no memory")
    batches = [_batch(example if source_example is None else source_example), _batch(example)]
    networks = Network("source", source, batches[0]), Network("target", target, batches[1])
    match = _partial_match(*networks) if partial else _strict_match(*networks)
    _prove(*networks, match)
    theirs, ours = tensors_of(source), tensors_of(target)
    names = match.loaded + _counters(match, theirs, ours)
    with torch.no_grad():
        for s, t in names:
            ours[t].copy_(theirs[s])
    return Loaded(name or type(source).__name__, tuple(t for _, t in names), match.skipped, proven=True)


def _batch(example: Example) -> Tensor:
    if isinstance(example, Tensor):
        return example.detach().cpu()
    return torch.randn(2, *example, generator=torch.Generator().manual_seed(0))


def _counters(match: _Match, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """How many batches each pair of running statistics has seen; it takes part in no output."""
    found = []
    for s, t in match.loaded:
        if t.endswith("running_mean"):
            counters = (f"{s.removesuffix('running_mean')}num_batches_tracked" for s in (s, t))
            s, t = counters
            if s in theirs and t in ours:
                found.append((s, t))
    return found


# --- which tensor is which -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Match:
    """Pairs of names, source and target, in the order of use."""

    pairs: tuple[tuple[str, str], ...]
    skipped: tuple[Skipped, ...] = ()
    whole: bool = True
    """Whether the networks as wholes must give equal outputs: nothing was left out."""

    @property
    def left_out(self) -> set[str]:
        """Names of the target's tensors that are not loaded."""
        return {one.name for one in self.skipped if one.reason != "unknown"}

    @property
    def loaded(self) -> list[tuple[str, str]]:
        left_out = self.left_out
        return [(s, t) for s, t in self.pairs if t not in left_out]


def _fits(source: Use, target: Use) -> bool:
    return source.tensor.shape == target.tensor.shape and source.tensor.dtype == target.tensor.dtype


def _strict_match(source: Network, target: Network) -> _Match:
    """Raises `TransplantError` at the first difference, and where anything is left over."""
    for number, (s, t) in enumerate(zip(source.uses, target.uses, strict=False), 1):
        if s.kind != t.kind or not _fits(s, t):
            why = "their operations differ" if s.kind != t.kind else "their shapes or types differ"
            cure = "compare the two networks there" if s.kind != t.kind else "--partial (`partial=True`) leaves it out"
            raise TransplantError(
                f"cannot transplant: number {number} in the order of use is\n    {s} in the source\n"
                f"    {t} in the target\n  but {why}",
                help=cure,
            )
    rest = _left_over(source, len(target.uses)) + _left_over(target, len(source.uses))
    if rest:
        raise TransplantError(
            "cannot transplant: after "
            f"{min(len(source.uses), len(target.uses))} matching tensors some are left over\n" + "\n".join(rest)
        )
    if not source.uses:
        raise TransplantError("cannot transplant: neither network uses a parameter")
    return _Match(tuple((s.name, t.name) for s, t in zip(source.uses, target.uses, strict=True)))


def _left_over(side: Network, count: int) -> list[str]:
    """Lines that name what a side has beyond the first `count` uses, and parameters that it never uses."""
    used = {use.name for use in side.uses}
    lines = [str(use) for use in side.uses[count:]]
    lines += [f"`{name}` (never used)" for name in dict(side.module.named_parameters()) if name not in used]
    more = [f"{len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [f"    in the {side.side}: {line}" for line in lines[:SHOWN] + more]


def _partial_match(source: Network, target: Network) -> _Match:
    """Pairs up to the first operation that differs; layers of which a tensor does not fit are left out."""
    pairs: list[tuple[Use, Use]] = []
    for s, t in zip(source.uses, target.uses, strict=False):
        if s.kind != t.kind:
            break
        pairs.append((s, t))
    misfits = {t.owner for s, t in pairs if not _fits(s, t)}
    skipped = []
    for s, t in pairs:
        if not _fits(s, t):
            reason = "shape" if s.tensor.shape != t.tensor.shape else "dtype"
            detail = f"{form(s.tensor)} in the source (`{s.name}`), {form(t.tensor)} in the network"
            skipped.append(Skipped(t.name, reason, detail))
        elif t.owner in misfits:
            skipped.append(Skipped(t.name, "layer", "another tensor of its layer does not fit"))
    taken = {s.name for s, _ in pairs}, {t.name for _, t in pairs}
    for name in dict(target.module.named_parameters()):
        if name not in taken[1]:
            skipped.append(Skipped(name, "missing", "nothing in the source stands in its place"))
    names = tuple((s.name, t.name) for s, t in pairs)
    if len({t for _, t in names} - {one.name for one in skipped}) == 0:
        raise TransplantError("cannot transplant: no layer of the source fits the network, in the order of use")
    unknown = [name for name in dict(source.module.named_parameters()) if name not in taken[0]]
    skipped += [Skipped(name, "unknown", "nothing in the network stands in its place") for name in unknown]
    return _Match(names, tuple(skipped), whole=not skipped)


# --- the proof -----------------------------------------------------------------------------------------------------


def _prove(source: Network, target: Network, match: _Match) -> None:
    """Raises `TransplantError` where copies of both networks, with the source's weights, give unequal results."""
    left_out = match.left_out
    values = {t: source.tensors[s] for s, t in match.loaded}
    networks = source.copy("cpu"), target.copy("cpu", values)
    unequal = [(number, s, t) for number, (s, t) in enumerate(match.pairs) if t in left_out]
    replaced = {s: number for number, s, _ in unequal}, {t: number for number, _, t in unequal}
    for training in (False, True):
        theirs = source.run(networks[0], replaced[0], training=training)
        ours = target.run(networks[1], replaced[1], training=training)
        mode = "training" if training else "evaluation"
        for s, t in match.loaded:
            results = theirs.results.get(s), ours.results.get(t)
            if None not in results and results[0] != results[1]:
                raise TransplantError(
                    f"cannot transplant: with the same weights the networks compute different things in {mode}; the "
                    f"first result that differs is\n    of `{s}` in the source\n    of `{t}` in the target",
                    help="compare what the two networks do before it, and the settings of these layers",
                )
        if match.whole:
            _compare_outputs(_main(theirs.output), _main(ours.output), mode)


def _compare_outputs(theirs: Tensor, ours: Tensor, mode: str) -> None:
    if not theirs.isfinite().all():
        raise TransplantError(
            f"cannot transplant: in {mode} the source's output is not finite for this example, so it proves nothing",
            help="give an example that is like its real input",
        )
    if not torch.equal(theirs, ours):
        raise TransplantError(
            f"cannot transplant: all layers with weights give equal results in {mode}, but the outputs "
            f"({show(tuple(theirs.shape[1:]))} and {show(tuple(ours.shape[1:]))}) differ: the networks end differently"
        )


def _main(output: Any) -> Tensor:
    """The output that counts among several: `logits`, `out`, or the first."""
    if isinstance(output, Mapping):
        keys = [key for key in ("logits", "out") if key in output]
        return _main(output[keys[0]] if keys else next(iter(output.values())))
    if isinstance(output, (list, tuple)):
        return _main(getattr(output, "logits", output[0]))
    if hasattr(output, "logits"):
        return _main(output.logits)
    if not isinstance(output, Tensor):
        raise TransplantError(f"cannot transplant: a network gives no tensor, but {type(output).__name__}")
    return output
