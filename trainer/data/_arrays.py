"""Samples in NumPy's files: `.npz` with `inputs` and `targets`, or a folder with `inputs.npy` and `targets.npy`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from archspec.foundation.errors import UsageError, join_words
from archspec.foundation.shapes import show
from trainer.input.datasets import Form, InMemory

Array = np.ndarray[Any, Any]
INPUTS, TARGETS = "inputs", "targets"
LAYOUT = f"give it `{INPUTS}` (N, features) or (N, tokens, features), and `{TARGETS}` (N,) or (N, numbers)"


def are_arrays(path: Path) -> bool:
    """Whether a path is that of an `.npz` or `.npy` file, or of a folder with `inputs.npy`."""
    return path.suffix.lower() in (".npz", ".npy") or (path / f"{INPUTS}.npy").is_file()


def read(path: Path, name: str) -> Array:
    """The array `inputs` or `targets` of a file or folder; an `.npy` file has its inputs. Raises `UsageError`.

    Pickled objects are refused: to load them would run what the file says.
    """
    file = path / f"{name}.npy" if path.is_dir() else path
    if path.suffix.lower() == ".npy" and name == TARGETS:
        raise UsageError(
            f"{path} holds one array, and no targets", help=f"put {INPUTS}.npy and {TARGETS}.npy into a folder"
        )
    try:
        found = np.load(file, allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            with found:
                if name not in found:
                    raise UsageError(f"{file} has no `{name}`, but {join_words(found)}", help=LAYOUT)
                return np.asarray(found[name])
        return np.asarray(found)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise _unreadable(file, error) from None
        raise UsageError(
            f"{file} holds Python objects (pickles), which could run anything, or no arrays at all, and is not loaded",
            help="save arrays of numbers or texts, `array.astype(numpy.float32)` for example",
        ) from None
    except FileNotFoundError:
        raise UsageError(f"{file} is not there", help=LAYOUT) from None
    except (OSError, EOFError, MemoryError) as error:
        raise _unreadable(file, error) from None
    except Exception as error:  # a damaged archive raises what zipfile and zlib have
        if type(error).__module__ not in ("zipfile", "zlib"):
            raise
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: BaseException) -> UsageError:
    return UsageError(
        f"{file} cannot be read as arrays: {' '.join(str(error).split()) or type(error).__name__}",
        help="save it anew by numpy.save or numpy.savez",
    )


def read_inputs(path: Path) -> Tensor:
    """The samples of a file or folder, float32 `(N, …)`. Raises `UsageError`."""
    inputs = read(path, INPUTS)
    if inputs.ndim < 2 or not len(inputs):
        raise UsageError(f"the inputs of {path} are an array of {show(inputs.shape)}, no samples", help=LAYOUT)
    if inputs.ndim == 4:
        raise UsageError(
            f"the inputs of {path} are samples of {show(inputs.shape[1:])}, which archspec takes as images, from files",
            help="save them as PNG files, `numpy` and Pillow do; a folder of images is given by its path",
        )
    return _finite(path, INPUTS, inputs)


def _finite(path: Path, name: str, array: Array) -> Tensor:
    """An array as float32. Raises `UsageError` where it holds no finite numbers."""
    if array.dtype.kind not in "biuf":
        raise UsageError(f"the {name} of {path} are of the type {array.dtype}, no numbers", help=LAYOUT)
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    wrong = np.argwhere(~np.isfinite(found))
    if len(wrong):
        place = tuple(int(one) for one in wrong[0])
        more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
        raise UsageError(
            f"the {name} of {path} hold {array[place]} at {list(place)}{more}: no finite number of single precision",
            help="fill it in, or remove the sample",
        )
    return torch.from_numpy(found)


def find_form(path: Path, task: str | None) -> Form:
    """What the targets of training arrays are: classes where they are texts or integers, else numbers."""
    targets = read(path, TARGETS)
    if targets.ndim not in (1, 2) or (targets.ndim == 2 and targets.dtype.kind != "f"):
        raise UsageError(f"the targets of {path} are an array of {show(targets.shape)}", help=LAYOUT)
    if targets.dtype.kind in "OSUiub" and targets.ndim == 1 and task != "regression":
        values = tuple(map(str, np.unique(targets).tolist()))
        if len(values) == 1:
            raise UsageError(
                f"the targets of {path} are `{values[0]}` for every sample: there is nothing to learn",
                help="give it samples of two classes at least",
            )
        if not values or len(values) >= max(3, len(targets)):
            raise UsageError(
                f"the targets of {path} have {len(values):,} values in {len(targets):,} samples: these are no classes",
                help="save them as floats, or --task regression, where they are numbers",
            )
        return Form((), {}, (TARGETS,), values)
    if task == "classification":
        raise UsageError(
            f"the targets of {path} are of the type {targets.dtype}, no classes",
            help="save them as integers or texts, one for each sample",
        )
    count = 1 if targets.ndim == 1 else targets.shape[1]
    return Form((), {}, ("target",) if count == 1 else tuple(f"target {number}" for number in range(count)), None)


def make_samples(path: Path, form: Form) -> InMemory:
    """The samples of arrays with their targets. Raises `UsageError` where these do not fit."""
    inputs, targets = read_inputs(path), read(path, TARGETS)
    if targets.ndim not in (1, 2) or len(targets) != len(inputs):
        raise UsageError(
            f"{path} has {len(inputs):,} inputs, but targets of {show(targets.shape)}", help="give each sample a target"
        )
    names = tuple(str(row + 1) for row in range(len(inputs)))
    if form.classes is not None:
        places = {value: place for place, value in enumerate(form.classes)}
        values = list(map(str, targets.tolist()))
        unknown = sorted(set(values) - places.keys())
        if unknown:
            raise UsageError(
                f"the targets of {path} have {join_words(unknown)}, which training has not",
                help=f"the classes are {join_words(places)}",
            )
        return InMemory(inputs, torch.tensor([places[value] for value in values]), names)
    numbers = _finite(path, TARGETS, targets).reshape(len(targets), -1)
    if numbers.shape[1] != len(form.targets):
        raise UsageError(
            f"{path} has {numbers.shape[1]} numbers for each sample, and training {len(form.targets)}",
            help="give both the same targets",
        )
    return InMemory(inputs, numbers, names)
