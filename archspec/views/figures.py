"""The figures of a whole network, by which networks are compared and fitted to a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from archspec.foundation.figures import show_bytes, show_macs
from archspec.plan.graph import GraphLayer
from archspec.plan.plan import Plan
from archspec.views.memory import inference_memory, kept_bytes, training_memory
from archspec.views.receptive import receptive_fields


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a network."""

    heading: str
    doc: str
    of: Callable[[Plan], int | None]
    """The number; `None`, where the network has none."""
    show: Callable[[int], str]


def depth(plan: Plan) -> int:
    """The most layers with weights, normalisations aside, on a way from the input to the output."""
    longest = [0] * len(plan.takes)
    for node in plan.graph.nodes[len(longest) :]:
        deeper = isinstance(node, GraphLayer) and node.macs > 0 and node.layer.params > 0
        longest.append(max(longest[id] for id in node.sources) + deeper)
    return longest[plan.graph.output]


def largest_field(plan: Plan) -> int | None:
    """The largest receptive field that is not the whole input, in positions of its longer side."""
    found = [size for field in receptive_fields(plan) if field for size in field.size if size is not None]
    return max(found, default=None)


def _training(plan: Plan) -> int:
    return training_memory(plan, 1, "sgd", {"momentum": 0.9}).peak


FIGURES: Mapping[str, Figure] = {
    "params": Figure("parameters", "trainable parameters", lambda plan: plan.params, lambda v: f"{v:,}"),
    "macs": Figure("MACs", "multiply-accumulates for one sample", lambda plan: plan.macs, show_macs),
    "kept": Figure("kept", "bytes kept for the backward pass of one sample, fp32", kept_bytes, show_bytes),
    "inference": Figure("inference", "peak bytes of an inference of one sample, fp32", inference_memory, show_bytes),
    "training": Figure(
        "training", "peak bytes of training one sample by SGD with momentum, fp32", _training, show_bytes
    ),
    "layers": Figure("layers", "layers of any kind", lambda plan: plan.root.layers, str),
    "depth": Figure("depth", "layers with weights and MACs on the longest way", depth, str),
    "field": Figure("field", "the largest receptive field that is not the whole input", largest_field, str),
}
"""By the names that commands and JSON know them by."""

__all__ = ["FIGURES", "Figure", "depth", "largest_field"]
