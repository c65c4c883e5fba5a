"""Weights: read from files and from torchvision, loaded into networks, saved.

Files are `.safetensors`, or what `torch.save` wrote. Nothing in them is ever run: of pickles, tensors and plain values
alone are read. What does not fit is said before anything is loaded, so no network is ever half loaded.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from archspec.foundation.errors import UsageError, did_you_mean, listed
from archspec.weights.trace import form
from archspec.weights.transplant import SHOWN, Loaded, Skipped, TransplantError, transplant

__all__ = ["Loaded", "Skipped", "TransplantError", "load", "read", "save", "transplant", "transplant_torchvision"]

SAFETENSORS = ".safetensors"
TIMEOUT = 60.0
"""Seconds for which a server may say nothing during a download."""


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a file, by name, to the CPU. No code in the file is ever run.

    Of a checkpoint, a mapping with a `state_dict` (or `model`) among other things, that is taken. Of a Lightning
    checkpoint of `archspec train`, the tensors of the network are taken under their own names, without `network.`.

    Args:
        path: A `.safetensors` file, or one that `torch.save` wrote.

    Raises:
        UsageError: The file cannot be read, is damaged, holds anything but named tensors, or holds code.

    Example:
        ```python
        state = read("resnet18.safetensors")
        state["stem.0.conv.weight"].shape  # (64, 3, 7, 7)
        ```
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        reason = "it is no regular file" if os.path.exists(path) else "there is no such file"
        raise UsageError(f"cannot read {path}: {reason}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"cannot read {path}: this user may not read it")
    if os.path.getsize(path) == 0:
        raise UsageError(f"cannot read {path}: it is empty")
    content = _read_safetensors(path) if path.endswith(SAFETENSORS) else _read_torch(path)
    state = _state_dict(content)
    if not isinstance(state, Mapping) or not state:
        raise UsageError(f"{path} holds no weights: {_described(state)} where tensors by name were expected")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(f"{path} holds more than weights: `{name}` is {_described(value)}, not a tensor")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise UsageError(f"{path}: `{name}` is not a dense tensor of numbers")
    return {name: value.detach() for name, value in state.items()}


def _read_safetensors(path: str) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UsageError(f"cannot read {path}: it is damaged, or no safetensors file: {_first_line(error)}") from None


def _read_torch(path: str) -> Any:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if (broken := archive.testzip()) is not None:  # torch itself does not look
                    raise UsageError(f"cannot read {path}: it is damaged: the checksum of {broken} is wrong")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except UsageError:
        raise
    except Exception as error:  # damaged files make it fail in many ways, few of which say why
        named = re.search(r"\bGLOBAL ([\w.]+)", str(error))
        if named or "TorchScript" in str(error):
            what = f"it names `{named[1]}`" if named else "it is a TorchScript archive"
            raise UsageError(
                f"cannot read {path}: it holds more than weights, and loading it could run code ({what})",
                help="where you trust it, load it in Python and save its `state_dict()` alone",
            ) from None
        raise UsageError(
            f"cannot read {path}: it is damaged, or torch.save did not write it",
            help=f"weights are files that torch.save wrote, and those that end in {SAFETENSORS}",
        ) from None


def _state_dict(content: Any) -> Any:
    """The named tensors of a checkpoint; what it is itself, where it is none."""
    if not isinstance(content, Mapping):
        return content
    for key in ("state_dict", "model"):
        if isinstance(inner := content.get(key), Mapping):
            if "pytorch-lightning_version" in content and any(str(name).startswith("network.") for name in inner):
                # beside the network, the module holds the data set's mean and deviation
                prefix = "network."
                return {n.removeprefix(prefix): v for n, v in inner.items() if str(n).startswith(prefix)}
            return inner
    return content


def save(module: nn.Module, path: str) -> None:
    """Write a module's `state_dict`. A file of this name is replaced once the new one is complete.

    Args:
        module: The module.
        path: The file: safetensors where it ends in `.safetensors`, else what `torch.save` writes.

    Raises:
        UsageError: The file cannot be written.

    Example:
        ```python
        save(model, "resnet18.safetensors")
        ```
    """
    state = module.state_dict()
    beside = f"{path}.part"
    try:
        if path.endswith(SAFETENSORS):
            # it takes no views, and nothing twice
            save_file(
                {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in state.items()},
                beside,
            )
        else:
            torch.save(state, beside)
        os.replace(beside, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if os.path.exists(beside):
            os.remove(beside)
        raise UsageError(f"cannot write {path}: {error}") from None


def load(
    module: nn.Module, state: Mapping[str, Tensor], *, partial: bool = False, source: str = "the source"
) -> Loaded:
    """Load tensors into a module by name. Nothing is loaded where an error is raised.

    Floating-point tensors of another precision are converted to the module's. `num_batches_tracked` may be missing, as
    in files of old.

    Args:
        module: The module, which is changed in place.
        state: Tensors by the names of the module's `state_dict`, as `read` returns them.
        partial: Whether to load what fits by name and shape, and to report the rest.
        source: What errors call the tensors.

    Returns:
        What was loaded, and with `partial` what was not.

    Raises:
        UsageError: Tensors are missing, are not the module's, or have another shape or type; with `partial`, none fits.

    Example:
        ```python
        loaded = load(model, read("resnet18.safetensors"), partial=True)
        print(loaded.render())
        ```
    """
    own = {name: tensor for name, tensor in module.state_dict().items() if isinstance(tensor, Tensor)}
    skipped = [one for name, tensor in own.items() if (one := _misfit(name, state.get(name), tensor))]
    skipped += [Skipped(n, "unknown", f"{form(t)}, not in the network") for n, t in state.items() if n not in own]
    unfit = {one.name for one in skipped}
    fitting = tuple(name for name in own if name in state and name not in unfit)
    if skipped and not partial:
        reasons = {one.reason for one in skipped}
        cure = "--partial loads what fits" if fitting else _other_names(own, state)
        if reasons == {"shape"}:
            cure = f"--partial leaves {'it' if len(skipped) == 1 else 'them'} out and loads the rest"
        raise UsageError(f"the tensors of {source} are not this network's:\n{_shown(skipped)}", help=cure)
    if not fitting:
        raise UsageError(f"no tensor of {source} fits this network:\n{_shown(skipped)}", help=_other_names(own, state))
    with torch.no_grad():
        for name in fitting:
            own[name].copy_(state[name])
    return Loaded(source, fitting, tuple(skipped))


def _misfit(name: str, value: Tensor | None, own: Tensor) -> Skipped | None:
    """Why a tensor cannot be loaded, or `None` where it can."""
    if value is None:
        if name.endswith("num_batches_tracked"):
            return None
        return Skipped(name, "missing", f"{form(own)}, not in the source")
    detail = f"{form(value)} in the source, {form(own)} in the network"
    if value.shape != own.shape:
        return Skipped(name, "shape", detail)
    if value.dtype != own.dtype and not (value.is_floating_point() and own.is_floating_point()):
        return Skipped(name, "dtype", detail)
    return None


def _shown(skipped: Iterable[Skipped]) -> str:
    """Lines on the first tensors of each reason."""
    reasons: dict[str, list[str]] = {}
    for one in skipped:
        reasons.setdefault(one.reason, []).append(f"    `{one.name}`: {one.detail}")
    lines = [line for found in reasons.values() for line in found[: SHOWN // 2]]
    rest = sum(map(len, reasons.values())) - len(lines)
    return "\n".join([*lines, f"    and {rest} more"] if rest else lines)


def _other_names(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """What to do where no name is known: they may differ by a prefix."""
    for name in state:
        prefix, dot, rest = name.partition(".")
        if rest in own:
            return f"its names begin with `{prefix}{dot}`: save them without it"
    return "torchvision's own weights are loaded by --weights torchvision:NAME; others need this network's names"


# --- torchvision -----------------------------------------------------------------------------------------------------


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
    from torchvision import models

    model, _, entry = name.partition(".")
    known = models.list_models(module=models)
    if model not in known:
        hint = did_you_mean(model, known) or "torchvision's documentation lists them: resnet50, densenet121, …"
        raise UsageError(f"torchvision has no model `{model}` of images", help=hint)
    entries = models.get_model_weights(model)
    if entry and entry not in entries.__members__:
        raise UsageError(
            f"torchvision has no weights `{entry}` of `{model}`", help=f"it has {listed(one.name for one in entries)}"
        )
    weights = entries[entry or "DEFAULT"]
    source = _published(model, weights)
    if getattr(source, "aux_logits", False) and _count(target) < _count(source):  # it leaves out the side classifiers
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
    options = {"aux_logits": True, "transform_input": False} if model in ("googlenet", "inception_v3") else {}
    try:
        with _careful():
            built: nn.Module = models.get_model(model, weights=weights, progress=sys.stderr.isatty(), **options)
            return built
    except Exception as error:
        if cached:
            reason = _first_line(error)
            try:
                read(file)
            except UsageError as clearer:  # torch's own words advise to run what is in the file
                reason = _first_line(clearer)
            raise UsageError(
                f"the weights of {model}.{weights.name} are not those that torchvision published: {reason}",
                help=f"remove {file}; it is then downloaded again",
            ) from None
        raise UsageError(
            f"cannot download the weights of {model}.{weights.name}: {_first_line(error)}\n"
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


def _described(value: Any) -> str:
    if isinstance(value, Mapping) and not value:
        return "nothing"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
