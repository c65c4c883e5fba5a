"""Where weights come from, as a person names it: a file, a run of `archspec train`, or a model of torchvision."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from typing import Any

from torch import nn

from archspec.foundation.errors import UsageError, escape_line
from archspec.weights.files import metadata, read_noting
from archspec.weights.loaded import Loaded
from archspec.weights.loading import load
from archspec.weights.published import metadata_of_published, transplant_torchvision

TORCHVISION = "torchvision:"


def load_from(
    origin: str, module: nn.Module, input_shape: tuple[int, ...], *, partial: bool = False, adapt: bool = False
) -> Loaded:
    """Load weights into a module by what a person calls them. Nothing is loaded where an error is raised.

    Args:
        origin: A file (`archspec.weights.read`), a run's folder, of which the best weights are taken, or
            `torchvision:NAME` (`archspec.weights.transplant_torchvision`).
        module: The module, which is changed in place.
        input_shape: The shape of one sample, as `Plan.input` has it.
        partial: Whether to load what fits, and to report the rest.
        adapt: Whether to convert a file's tensors to another size or number of channels.

    Raises:
        UsageError: The weights cannot be had or do not fit; `TransplantError` is one.

    Example:
        ```python
        loaded = load_from("torchvision:resnet18", model, spec.plan.input)
        print(loaded.render())
        ```
    """
    if name := _torchvision_name(origin):
        if adapt:
            raise UsageError(
                "--adapt converts the tensors of files, not those of torchvision",
                help="save them first for the size that they have (--weights torchvision:NAME --save w.safetensors), "
                "then load that file (--weights w.safetensors --adapt)",
            )
        return transplant_torchvision(name, module, input_shape, partial=partial)
    state, notes = read_noting(file_of(origin))
    loaded = load(module, state, partial=partial, adapt=adapt, source=origin, input_shape=input_shape)
    return replace(loaded, notes=(*notes, *loaded.notes))


def file_of(origin: str) -> str:
    """The file that an origin other than torchvision's names: itself, or the best checkpoint of a run.

    Raises `UsageError` where there is none.
    """
    if os.path.isdir(origin):
        if not os.path.isfile(os.path.join(origin, "environment.json")):
            raise UsageError(
                f"cannot read {escape_line(origin)}: it is a folder, and no run's",
                help="weights are a file, a run's folder, or torchvision:NAME",
            )
        for name in ("best.ckpt", "last.ckpt"):
            if os.path.isfile(file := os.path.join(origin, "checkpoints", name)):
                return file
        raise UsageError(
            f"the run {escape_line(origin)} has no weights yet", help=f"train it on: archspec train --resume {origin}"
        )
    if not os.path.exists(origin) and re.fullmatch(r"[a-z][a-z0-9_]*(\.[A-Z][A-Z0-9_]*)?", origin):
        raise UsageError(
            f"cannot read {escape_line(origin)}: there is no such file",
            help=f"torchvision's published weights are loaded by --weights torchvision:{origin}",
        )
    return origin


def metadata_of(origin: str) -> dict[str, Any]:
    """What is known of the images that weights were trained with, as `archspec.weights.metadata` has it (JSON types).

    Of torchvision's weights, it is what their transforms say.
    Raises `UsageError` where the file cannot be read, or torchvision has no such weights.
    """
    if name := _torchvision_name(origin):
        return metadata_of_published(name)
    return {key: json.loads(text) for key, text in metadata(file_of(origin)).items()}


def _torchvision_name(origin: str) -> str:
    return origin.removeprefix(TORCHVISION) if origin.startswith(TORCHVISION) else ""
