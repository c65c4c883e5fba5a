"""Files of weights, read and written.

They are `.safetensors`, or what `torch.save` writes. Nothing in them is ever run: of pickles, tensors and plain values
alone are read.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import warnings
import zipfile
from collections.abc import Mapping
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from archspec.foundation.errors import UsageError, escape_line
from archspec.weights.images import is_sound
from archspec.weights.loaded import show_name
from archspec.weights.nested import find_state
from archspec.writing.files import default_mode

SAFETENSORS = ".safetensors"
_NOT_DENSE = "is not a dense tensor of numbers"
_MAKE_DENSE = "load the file in Python, make it one (`to_dense()`, `dequantize()`), and save that"


def read(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a file, by name, to the CPU. No code in the file is ever run.

    Of a checkpoint, a mapping with a `state_dict` (or `model`) among other things, that is taken; without one, the only
    mapping of names to tensors in it. Of a Lightning checkpoint of `archspec train`, the tensors of the network are
    taken under their own names, without `network.`.

    Args:
        path: A `.safetensors` file, or one that `torch.save` wrote.

    Raises:
        UsageError: The file cannot be read, is damaged, holds anything but named tensors, several sets of them, or
            code.

    Example:
        ```python
        state = read("resnet18.safetensors")
        state["stem.0.conv.weight"].shape  # (64, 3, 7, 7)
        ```
    """
    return read_noting(path)[0]


def read_noting(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of a file as `read` gives them, and notes on where in the file they were."""
    path = os.fspath(path)
    _check_readable(path)
    content = _read_safetensors(path) if path.endswith(SAFETENSORS) else _read_torch(path)
    state, notes = find_state(content, path)
    if not isinstance(state, Mapping) or not state:
        raise UsageError(f"{path} holds no weights: {_described(state)} where tensors by name were expected")
    for name, value in state.items():
        if not isinstance(name, str):
            what = f"the name of a tensor is {_described(name)}, not a text"
            raise UsageError(
                f"{path} holds no weights by name: {what}",
                help="load it in Python and save the tensors alone, by their names",
            )
        if not isinstance(value, Tensor):
            raise UsageError(
                f"{path} holds more than weights: `{show_name(str(name))}` is {_described(value)}, not a tensor",
                help="load it in Python and save the tensors alone, by their names",
            )
        if value.is_nested or value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise UsageError(f"{path}: `{show_name(name)}` {_NOT_DENSE}", help=_MAKE_DENSE)
    return {name: value.detach() for name, value in state.items()}, notes


def _check_readable(path: str) -> None:
    """Raises `UsageError` where there is nothing to read."""
    if not os.path.isfile(path):
        reason = "it is no regular file" if os.path.exists(path) else "there is no such file"
        raise UsageError(f"cannot read {path}: {reason}")
    if not os.access(path, os.R_OK):
        raise UsageError(f"cannot read {path}: this user may not read it")
    if os.path.getsize(path) == 0:
        raise UsageError(f"cannot read {path}: it is empty")


def _read_safetensors(path: str) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        help = "torch.save writes archives: their names end in .pt, say" if zipfile.is_zipfile(path) else None
        raise UsageError(
            f"cannot read {path}: it is damaged, or no safetensors file: {first_line(error)}", help=help
        ) from None


def _read_torch(path: str) -> Any:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
                if sum(one.file_size for one in entries) > 2 * os.path.getsize(path) + 2**20:  # and much more, mostly
                    raise UsageError(
                        f"cannot read {escape_line(path)}: it is a compressed archive, which torch.save does not write",
                        help="unpack it; weights are what torch.save wrote, or files that end in " + SAFETENSORS,
                    )
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
            if named and named[1].startswith("torch._utils._rebuild_"):  # newer versions of torch load fewer kinds
                raise UsageError(f"{path}: `{named[1]}` makes what {_NOT_DENSE}", help=_MAKE_DENSE) from None
            what = f"it names `{named[1]}`" if named else "it is a TorchScript archive"
            raise UsageError(
                f"cannot read {path}: it holds more than weights, and loading it could run code ({what})",
                help="where you trust it, load it in Python and save its `state_dict()` alone",
            ) from None
        raise UsageError(
            f"cannot read {path}: it is damaged, or torch.save did not write it", help=_guess(path)
        ) from None


def _guess(path: str) -> str:
    """What to do about a file that is none of torch's, by what it begins with."""
    with open(path, "rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "it only says where Git LFS keeps the file: `git lfs pull` fetches it"
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < os.path.getsize(path):
        return f"it looks like a safetensors file: their names end in {SAFETENSORS}"
    return f"weights are files that torch.save wrote, and those that end in {SAFETENSORS}"


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a file says of its weights beside themselves, as texts of JSON.

    Args:
        path: A checkpoint of `archspec train`, of which it is the `mean` and `std` of the images, `row_mean` and
            `row_std` of rows beside them, the run's `classes`, and how (`resize`) images were brought to which size
            (`input`, height and width); a `.safetensors` file, of which it is these of its metadata; or another file,
            which says nothing.

    Raises:
        UsageError: The file cannot be read.

    Example:
        ```python
        metadata("runs/digits/checkpoints/best.ckpt").get("classes")
        ```
    """
    path = os.fspath(path)
    _check_readable(path)
    if path.endswith(SAFETENSORS):
        try:
            with safe_open(path, "pt") as file:
                found = file.metadata() or {}
            return {name: found[name] for name in METADATA if is_sound(name, _from_json(found.get(name)))}
        except (SafetensorError, OSError, ValueError) as error:
            raise UsageError(f"cannot read {escape_line(path)}: {first_line(error)}") from None
    content = _read_torch(path)
    if not isinstance(content, Mapping) or "pytorch-lightning_version" not in content:
        return {}
    return _metadata_of_checkpoint(content, path)


def _metadata_of_checkpoint(content: Mapping[Any, Any], path: str) -> dict[str, str]:
    """What a checkpoint of a run holds, and what lies beside it in the run's folder."""
    found = {}
    state = content.get("state_dict")
    for name in MOMENTS:
        value = state.get(name) if isinstance(state, Mapping) else None
        if isinstance(value, Tensor) and is_sound(name, numbers := value.flatten().tolist()):
            found[name] = json.dumps(numbers)
    beside = os.path.join(os.path.dirname(os.path.abspath(path)), os.pardir, "environment.json")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(beside, encoding="utf-8") as file:
            known = json.load(file)
        for name in ("classes", "resize", "input"):
            if is_sound(name, known.get(name)):
                found[name] = json.dumps(known[name], ensure_ascii=False)
    return found


def _from_json(text: str | None) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text or "null")
    return None


MOMENTS = ("mean", "std", "row_mean", "row_std")
"""What samples are standardised by; of an image and rows, `mean` and `std` are the image's."""
METADATA = (*MOMENTS, "classes", "resize", "input")
"""What weights need beside themselves to tell what is in an image."""


def save(module: nn.Module, path: str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's `state_dict`. A file of this name is replaced once the new one is complete.

    Args:
        module: The module.
        path: The file: safetensors where it ends in `.safetensors`, else what `torch.save` writes.
        metadata: Texts that a safetensors file holds besides; other files hold none.

    Raises:
        UsageError: The file cannot be written.

    Example:
        ```python
        save(model, "resnet18.safetensors")
        ```
    """
    state = module.state_dict()
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.part")
    made = None
    try:
        with open(beside, "xb") as file:  # made anew: it follows no link, and takes no file of that name
            made = _Written(file)
            if not path.endswith(SAFETENSORS):
                torch.save(state, made)  # type: ignore[arg-type]
        if path.endswith(SAFETENSORS):
            # it takes no views, and nothing twice
            copies = {n: tensor.cpu().clone(memory_format=torch.contiguous_format) for n, tensor in state.items()}
            save_file(copies, beside, dict(metadata or {}) or None)
        os.chmod(beside, default_mode())
        os.replace(beside, path)
    except (OSError, RuntimeError, SafetensorError) as error:
        with contextlib.suppress(OSError):
            if made is not None:
                os.remove(beside)
        reason = made.error if made is not None and made.error is not None else error
        words = reason.strerror if isinstance(reason, OSError) and reason.strerror else first_line(reason)
        raise UsageError(
            f"cannot write {escape_line(path)}: {words}", help="save it where there is room, and where you may write"
        ) from None


class _Written:
    """A file that remembers why it could not be written: torch then only says that a position is not as expected."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        try:
            self.file.flush()
        except OSError as error:
            self.error = error
            raise


def _described(value: Any) -> str:
    if isinstance(value, Mapping) and not value:
        return "nothing"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
