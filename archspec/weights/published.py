"""The weights that torchvision publishes: found by name, loaded from torch's hub folder or downloaded, transplanted."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlparse

import torch
from torch import nn

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.spelling import did_you_mean
from archspec.weights.files import first_line, read
from archspec.weights.loaded import Loaded
from archspec.weights.transplant import transplant

TIMEOUT = 60.0
"""Seconds for which a server may say nothing during a download."""

CENTRED = ("googlenet", "inception_v3")
"""The models whose weights expect images from −1 to 1; torchvision gives them others, which the model changes."""


def find_published(name: str) -> tuple[str, Any]:
    """A model of torchvision and its weights, by `MODEL` or `MODEL.WEIGHTS`. Raises `UsageError`."""
    from torchvision import models

    model, _, entry = name.partition(".")
    known = models.list_models(module=models)
    if model not in known:
        hint = did_you_mean(model, known) or "torchvision's documentation lists them: resnet50, densenet121, …"
        raise UsageError(f"torchvision has no model `{model}` of images", help=hint)
    entries = models.get_model_weights(model)
    if entry and entry not in entries.__members__:
        raise UsageError(
            f"torchvision has no weights `{entry}` of `{model}`",
            help=f"it has {join_words(one.name for one in entries)}",
        )
    return model, entries[entry or "DEFAULT"]


def metadata_of_published(name: str) -> dict[str, Any]:
    """What is known of the images of torchvision's weights, as `archspec.weights.metadata` has it (JSON types).

    Raises `UsageError` where there are no such weights.
    """
    model, weights = find_published(name)
    transforms = weights.transforms()
    mean, std = ([0.5] * 3, [0.5] * 3) if model in CENTRED else (list(transforms.mean), list(transforms.std))
    return {
        "mean": mean,
        "std": std,
        "classes": list(weights.meta["categories"]),
        "resize": {"name": "crop", "size": transforms.resize_size[0], "interpolation": transforms.interpolation.value},
        "input": (transforms.crop_size * 2)[:2],
    }


def transplant_torchvision(
    name: str, target: nn.Module, input_shape: tuple[int, ...], *, partial: bool = False
) -> Loaded:
    """Transplant the published weights of a torchvision model into a network of its architecture.

    Weights that torch's hub folder does not hold yet are downloaded to it. They expect images normalised as torchvision
    does it, by ImageNet's mean and standard deviation; googlenet and inception_v3 by a mean and standard deviation of
    0.5.

    Args:
        name: A model of torchvision, `"resnet50"`, or one of its sets of weights, `"resnet50.IMAGENET1K_V2"`.
        target: The network, which is changed in place.
        input_shape: The shape of one sample of `target`, `(channels, height, width)`, as `Plan.input` has it.
        partial: Whether to load the layers that fit and leave out the others, as `transplant` does.

    Returns:
        What was loaded, and with `partial` what was not.

    Raises:
        UsageError: There is no such model or set of weights, or it cannot be downloaded.
        TransplantError: The model has another architecture than `target`.

    Example:
        ```python
        spec = archspec.load("resnet50")
        model = spec.build()
        transplant_torchvision("resnet50", model, spec.plan.input)
        ```
    """
    model, weights = find_published(name)
    source = _published(model, weights)
    if getattr(source, "aux_logits", False) and _count(target) < _count(source):
        source.aux_logits = False  # type: ignore[assignment]
        for side in {"aux1", "aux2", "AuxLogits"} & dict(source.named_children()).keys():
            setattr(source, side, None)
    full_name = f"torchvision:{model}.{weights.name}"
    shape = (3, *input_shape[1:])
    return transplant(source, target, input_shape, source_example=shape, partial=partial, name=full_name)


def _count(module: nn.Module) -> int:
    """How many parameters a module has, as tensors."""
    return len(list(module.parameters()))


def _published(model: str, weights: Any) -> nn.Module:
    """The model with its weights, from the hub folder or, where that does not hold them, from the network."""
    from torchvision import models

    file = os.path.join(torch.hub.get_dir(), "checkpoints", os.path.basename(urlparse(weights.url).path))
    cached = os.path.exists(file)
    # these two would otherwise change their input, which is no part of the architecture, or drop what was trained
    options = {"aux_logits": True, "transform_input": False} if model in CENTRED else {}
    try:
        with _careful():
            built: nn.Module = models.get_model(model, weights=weights, progress=sys.stderr.isatty(), **options)
            return built
    except Exception as error:
        if cached:
            reason = first_line(error)
            try:
                read(file)
            except UsageError as clearer:  # torch's own words advise to run what is in the file
                reason = first_line(clearer)
            raise UsageError(
                f"the weights of {model}.{weights.name} are not those that torchvision published: {reason}",
                help=f"remove {file}; it is then downloaded again",
            ) from None
        raise UsageError(
            f"cannot download the weights of {model}.{weights.name}: {first_line(error)}\n"
            f"    from {weights.url}\n    to {file}, where they are not yet",
            help="download them on a machine with a network and put them there; TORCH_HOME chooses another folder",
        ) from None


@contextlib.contextmanager
def _careful() -> Iterator[None]:
    """Loads tensors alone, waits for no server for ever, draws no random numbers, and keeps standard output clean."""
    setting, patience = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", socket.getdefaulttimeout()
    before = os.environ.get(setting)
    os.environ[setting] = "1"
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(patience)
        if before is None:
            del os.environ[setting]
        else:
            os.environ[setting] = before
