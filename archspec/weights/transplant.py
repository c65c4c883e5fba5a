"""Transplantation: the weights of one network into another of the same architecture whose parts have other names.

Both networks are run once in which nothing is computed, to see what data flows into which of their parameters
(`trace`). Parameters are then matched along that graph (`match`, `layout`). Before anything is written, copies of both
networks are run with the same random weights: equal results, layer by layer, are the proof (`proof`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from archspec.weights.loaded import Loaded, unsound
from archspec.weights.match import Match, match
from archspec.weights.network import Network
from archspec.weights.proof import prove
from archspec.weights.tensors import tensors_of
from archspec.weights.trace import TransplantError

Example = Tensor | Sequence[int]
"""A batch of inputs, or the shape of one sample, of which a batch is then drawn at random."""


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

    The parts of the two networks may have different names. Tensors are matched along the data that flows through both
    networks in training (so auxiliary classifiers take part), in whatever order they run their branches. The same
    elements may be laid out otherwise: a vector as `(C, 1, 1)`, a linear layer as a convolution over its whole input,
    query, key and value as one tensor or three.

    Before anything is written, copies of both networks with the same random weights and statistics must give equal
    results for the example: each layer, and the output (of several, the first or `logits`), in evaluation and in
    training, random layers at their expected value. Equal is bit for bit; or, where the order of a sum differs, within
    `Loaded.rounding` in double precision. The networks themselves are not run; `source`, and `target` where an error is
    raised, stay as they are.

    Args:
        source: The network that has the weights.
        target: The network that receives them; it is changed in place.
        example: A batch `(N, …)` for both networks, or the shape of one sample, as `Plan.input` has it.
        source_example: The same for `source` alone, where it takes another shape.
        partial: Whether to leave out layers of other shapes, and all that comes after a layer that the other network
            does not have. What is loaded is proven as before; the layers that are left out give the same random
            numbers in both networks.
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
        raise TransplantError(
            "cannot transplant: one of the networks is on the device `meta`, so it holds no memory",
            help="build it without a device, or give it memory first (`to_empty`)",
        )
    batches = [_batch(example if source_example is None else source_example), _batch(example)]
    networks = Network("source", source, batches[0]), Network("target", target, batches[1])
    found = match(*networks, partial=partial)
    rounding = prove(*networks, found)
    theirs, ours = tensors_of(source), tensors_of(target)
    counters = _counters(found, theirs, ours)
    with torch.no_grad():
        for t, piece in found.pieces.items():
            ours[t].copy_(piece.of(theirs, ours[t]))
        for s, t in counters:
            ours[t].copy_(theirs[s])
    names = (*found.pieces, *(t for _, t in counters))
    return Loaded(
        name or type(source).__name__,
        names,
        tuple(found.skipped),
        proven=True,
        rounding=rounding,
        notes=unsound({name: ours[name] for name in names}),
    )


def _batch(example: Example) -> Tensor:
    if isinstance(example, Tensor):
        return example.detach().cpu()
    return torch.randn(2, *example, generator=torch.Generator().manual_seed(0))


def _counters(found: Match, theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    """How many batches each pair of running statistics has seen; it takes part in no output."""
    pairs = []
    for t, piece in found.pieces.items():
        if t.endswith("running_mean") and piece.whole is not None:
            s = f"{piece.whole.removesuffix('running_mean')}num_batches_tracked"
            t = f"{t.removesuffix('running_mean')}num_batches_tracked"
            if s in theirs and t in ours:
                pairs.append((s, t))
    return pairs
