"""Proof that two networks with the same weights compute the same, layer by layer.

Copies of both are run, in evaluation and in training, with random weights and statistics: what a network holds when it
is new (gammas of 0, statistics of 0 and 1) could be left out unnoticed. Their results must be equal bit for bit; or,
where the order of a sum differs, within `ROUNDING` in double precision, in which networks that differ in more than that
are far apart.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from archspec.foundation.shapes import show
from archspec.weights.match import Match
from archspec.weights.network import Network
from archspec.weights.tensors import tensors_of
from archspec.weights.trace import PRODUCTS, Follower, TransplantError

ROUNDING = 1e-9
"""How far results in double precision may differ, as a share of the largest of them."""

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def prove(source: Network, target: Network, match: Match) -> float:
    """How far results differ at most: 0 where they are equal bit for bit, else `ROUNDING`.

    Raises `TransplantError` where they are not equal.
    """
    proof = _Proof(source, target, match)
    if proof.difference(None) is None:
        return 0.0
    if (found := proof.difference(torch.float64)) is not None:
        raise found
    return ROUNDING


class _Proof:
    def __init__(self, source: Network, target: Network, match: Match) -> None:
        self.source, self.target, self.match = source, target, match
        self.values = _random(source)
        loaded = match.pieces.keys()
        self.others = _random(target, without=loaded)
        self.seeds: tuple[dict[str, int], dict[str, int]] = {}, {}
        for number, (s, t) in enumerate(match.nodes):
            if any(name not in loaded for operand in t.operands for name in operand.names):
                for side, node in enumerate((s, t)):
                    self.seeds[side].update({n: number for operand in node.operands for n in operand.names})

    def difference(self, dtype: torch.dtype | None) -> TransplantError | None:
        """The first difference, in evaluation or in training, as an error."""
        theirs = self._source(dtype)
        measure = _digest if dtype is None else _summary
        same = _same if dtype is None else _close
        for training in (False, True):
            ours = self._target(dtype, training, measure)
            error = self._compare(theirs[training], ours, training, same)
            if error is not None:
                return error
        return None

    def _source(self, dtype: torch.dtype | None) -> dict[bool, Follower]:
        """Its runs in training and in evaluation, the statistics of the second near those of the first."""
        network = _convert(self.source.copy("cpu", self.values), dtype)
        measure = _digest if dtype is None else _summary
        runs = {}
        for training in (True, False):
            runs[training] = self.source.run(
                network, training=training, measure=measure, replaced=self.seeds[0], dtype=dtype
            )
            if training:
                if dtype is None:
                    self._set_statistics(runs[True].statistics)
                tensors = tensors_of(network)
                for name in _statistics(self.source):
                    tensors[name].copy_(self.values[name])
        return runs

    def _set_statistics(self, found: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Statistics like those of the data, but not equal: others would drown what a layer computes."""
        generator = torch.Generator().manual_seed(1)
        for name, (mean, variance) in found.items():
            noise = torch.rand((2, len(mean)), generator=generator, dtype=mean.dtype)
            self.values[name] = mean + variance.sqrt() * (noise[0] - 0.5) * 0.2
            other = f"{name.removesuffix('running_mean')}running_var"
            if other in self.values:
                self.values[other] = variance * (0.8 + 0.4 * noise[1])

    def _target(self, dtype: torch.dtype | None, training: bool, measure: Any) -> Follower:
        values = self.others | {
            name: piece.of(self.values, self.target.tensors[name]) for name, piece in self.match.pieces.items()
        }
        network = _convert(self.target.copy("cpu", values), dtype)
        return self.target.run(network, training=training, measure=measure, replaced=self.seeds[1], dtype=dtype)

    def _compare(self, theirs: Follower, ours: Follower, training: bool, same: Any) -> TransplantError | None:
        mode = "training" if training else "evaluation"
        for source, target in self.match.nodes:
            s, t = source.operands[-1], target.operands[-1]
            if s.parts or t.parts or not set(t.names) <= self.match.pieces.keys():
                continue
            results = theirs.results.get(s.names[-1]), ours.results.get(t.names[-1])
            if None in results or same(*results):
                continue
            differing = _settings(source.settings, target.settings)
            return TransplantError(
                f"cannot transplant: with the same weights the networks compute different things in {mode}; the "
                f"first result that differs is\n    of `{s.names[-1]}` in the source\n    of `{t.names[-1]}` in the "
                f"target{''.join(differing)}",
                help="give both layers the same settings"
                if differing
                else "compare what the two networks do before it, and the settings of these layers",
            )
        if self.match.whole:
            return _compare_outputs(main_of(theirs.output), main_of(ours.output), mode, same)
        return None


def _settings(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """In what two layers differ that have their weights in common."""
    return [
        f"\n  where `{name}` is {theirs[name]} in the source and {ours[name]} in the target"
        for name in theirs
        if name in ours and theirs[name] != ours[name]
    ]


def _compare_outputs(theirs: Tensor, ours: Tensor, mode: str, same: Any) -> TransplantError | None:
    if not theirs.isfinite().all():
        return TransplantError(
            f"cannot transplant: in {mode} the source's output is not finite for this example, so it proves nothing",
            help="give an example that is like its real input",
        )
    if theirs.shape == ours.shape and (torch.equal(theirs, ours) if same is _same else _near(theirs, ours)):
        return None
    return TransplantError(
        f"cannot transplant: all layers with weights give equal results in {mode}, but the outputs "
        f"({show(tuple(theirs.shape[1:]))} and {show(tuple(ours.shape[1:]))}) differ: the networks end differently",
        help="compare what the two networks do after their last layer with weights",
    )


def main_of(output: Any) -> Tensor:
    """The output that counts among several: `logits`, `out`, or the first."""
    if isinstance(output, Mapping):
        keys = [key for key in ("logits", "out") if key in output]
        return main_of(output[keys[0]] if keys else next(iter(output.values())))
    if isinstance(output, (list, tuple)):
        return main_of(getattr(output, "logits", output[0]))
    if hasattr(output, "logits"):
        return main_of(output.logits)
    if not isinstance(output, Tensor):
        raise TransplantError(
            f"cannot transplant: a network gives no tensor, but {type(output).__name__}",
            help="let it give a tensor, or several in a tuple or mapping",
        )
    return output


# --- random weights --------------------------------------------------------------------------------------------------


def _statistics(network: Network) -> list[str]:
    """Buffers that operations of the network take as statistics."""
    names = {name for operand in network.operands for name in operand.names}
    return [name for name, tensor in network.tensors.items() if name in names and not isinstance(tensor, nn.Parameter)]


def _random(network: Network, without: Container[str] = ()) -> dict[str, Tensor]:
    """Weights under which data keep their size from layer to layer, and no factor is 0 or 1, no summand 0."""
    generator = torch.Generator().manual_seed(0)
    products = {n for o in network.operands if o.product for n in o.names}
    summands = {n for o in network.operands if o.operation in (*PRODUCTS, "add") for n in o.names} - products
    statistics = set(_statistics(network))
    found = {}
    for name, tensor in network.tensors.items():
        if not tensor.is_floating_point() or not (isinstance(tensor, nn.Parameter) or name in statistics):
            continue
        if name in without:
            continue
        if name in products:
            fan_in = max(1, tensor.numel() // max(1, tensor.shape[0]))
            value = torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5
        elif name in summands or name.endswith("running_mean"):
            value = torch.randn(tensor.shape, generator=generator) * 0.3
        else:
            value = torch.rand(tensor.shape, generator=generator) + 0.5
        found[name] = value.to(tensor.dtype)
    return found


def _convert(network: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    return network if dtype is None else network.to(dtype)


# --- results ---------------------------------------------------------------------------------------------------------


def _digest(tensor: Tensor) -> tuple[torch.dtype, int, int]:
    """Equal for tensors that hold bitwise equal values, in whatever order: axes may be arranged otherwise."""
    values = (tensor + 0 if tensor.is_floating_point() else tensor).contiguous().reshape(-1)  # -0.0 is 0.0
    bits = values.view(_WORDS[values.element_size()]).long() * -0x61C8864680B583EB  # an odd number: nothing is lost
    return tensor.dtype, tensor.numel(), int(((bits ^ bits >> 29) * 0x3F58476D1CE4E5B9).sum())


def _same(theirs: Any, ours: Any) -> bool:
    return bool(theirs == ours)


def _summary(tensor: Tensor) -> Tensor:
    """Figures of a tensor that do not depend on the order of its elements, and change little where those do."""
    values = tensor.double().reshape(-1)
    scale = values.square().mean().sqrt().clamp_min(1e-300)
    unit = values / scale
    figures = [scale.log(), unit.mean(), unit.abs().mean(), unit.sin().mean(), (2.7 * unit).cos().mean()]
    return torch.stack([torch.tensor(float(len(values)), dtype=torch.float64), *figures])


def _close(theirs: Tensor, ours: Tensor) -> bool:
    """Whether figures of tensors are equal but for rounding."""
    return bool((theirs - ours).abs().max() <= ROUNDING)


def _near(theirs: Tensor, ours: Tensor) -> bool:
    """Whether two tensors are equal but for rounding."""
    if theirs.shape != ours.shape:
        return False
    return bool((theirs - ours).abs().max() <= ROUNDING * theirs.abs().max().clamp_min(1e-300))
