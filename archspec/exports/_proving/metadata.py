"""What a file says of its network beside the weights."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from archspec import __version__
from archspec.exports._format import Model, Options


def metadata(model: Model, options: Options) -> dict[str, str]:
    """Texts of JSON by name, which `archspec.weights.metadata` reads, and more that is archspec's own."""
    plan, images = model.plan, model.images
    found = {
        "archspec": __version__,
        "name": plan.title,
        "spec_sha256": digest(model),
        "input": list(plan.input[1:]) if len(plan.takes) == 1 else None,
        "input_shape": list(plan.input) if len(plan.takes) == 1 else None,
        "inputs": {name: list(shape) for name, shape in plan.inputs.items()} if len(plan.takes) > 1 else None,
        "outputs": {"output": list(plan.output)} | {name: list(shape) for name, shape in plan.outputs.items()},
        "input_values": input_values(model, options),
        **moments(model),
        "classes": images.classes and list(images.classes),
        "resize": dict(images.resize) if images.resize and model.takes_images else None,
        "features": images.features and list(images.features),
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in found.items() if value is not None}


def moments(model: Model) -> dict[str, list[float] | None]:
    """The mean and standard deviation of each channel or feature, with keys of their own for rows beside an image."""
    images = model.images
    known = {"mean": images.mean, "std": images.std}
    if len(model.shapes) == 1 or not model.takes_images:
        return {name: list(values) if values else None for name, values in known.items()}
    found: dict[str, list[float] | None] = {}
    for name, values in known.items():
        left = list(values or ())
        for shape in model.shapes:
            own, left = left[: shape[0]], left[shape[0] :]
            key = name if len(shape) == 3 else f"row_{name}"
            found[key] = [*(found.get(key) or ()), *own] or None
    return found


def input_facts(model: Model) -> dict[str, Any]:
    """The shapes of a network's inputs as JSON types: of one, `input`; of several, `inputs` by name."""
    inputs = {name: list(shape) for name, shape in model.plan.inputs.items()}
    return {"inputs": inputs} if len(inputs) > 1 else {"input": list(model.plan.input)}


def digest(model: Model) -> str:
    """SHA-256 of the resolved spec, with variant and settings, less its recipe: of the network alone."""
    spec = {key: value for key, value in model.spec.resolved.items() if key != "train"}
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()


def input_values(model: Model, options: Options) -> str:
    """What the numbers of an input mean, in words."""
    images, several = model.images, len(model.shapes) > 1
    if options.normalize and several and model.takes_images:
        return "images uint8, 0 to 255; rows float32, in the units of the training data; normalised inside"
    if options.normalize and model.takes_images:
        return "uint8, 0 to 255; normalised inside"
    if options.normalize:
        return "float32, in the units of the training data; normalised inside"
    if images.mean is None or images.std is None:
        return "float32, normalised as in training; mean and standard deviation are not known"
    mean, std = (", ".join(f"{one:.4g}" for one in values) for values in (images.mean, images.std))
    value = "value / 255" if model.takes_images and not several else "value"
    first = ", values of images first divided by 255" if model.takes_images and several else ""
    return f"float32, ({value} - mean) / std, with mean {mean} and std {std}{first}"
