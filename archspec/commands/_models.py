"""What `archspec export` exports: a spec with weights, or a run of `archspec train` with its own."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.commands._common import echo_notes
from archspec.exports import Images, Model
from archspec.foundation.errors import UsageError, escape_line, join_words
from archspec.recipe.outputs import MAIN
from archspec.spec import Spec, load

if TYPE_CHECKING:
    from torch import nn

    from archspec.plan.plan import Plan
    from trainer.module import SpecModule
    from trainer.runs.folders import Run


def find_model(
    name: str,
    out: Path,
    variant: str | None,
    settings: tuple[str, ...],
    origin: str | None,
    *,
    weights: bool,
    aux: bool,
) -> Model:
    """What a person names: a run's folder, a spec's file or name, or a run's name below `out`.

    `weights` says whether they are wanted: without, torch is not imported. Auxiliary
    classifiers are left out unless `aux`. Raises `SpecError` and `UsageError`.
    """
    run = _find_run(name, out)
    if run is None:
        return _of_spec(load(name, variant, set=settings), origin, weights=weights, aux=aux)
    for option, given in (("--variant", variant), ("--set", settings), ("--weights", origin)):
        if given:
            raise UsageError(
                f"{option} does not go with a run: {escape_line(str(run.folder))} has its own spec and weights",
                help="export its spec with other weights: name the spec, and give --weights",
            )
    return _of_run(run, weights=weights, aux=aux)


def _find_run(name: str, out: Path) -> Run | None:
    """The run of a name, `None` where it is a spec's. A spec goes before a run of its name below `out`."""
    from archspec.language.finder import SUFFIXES, bundled, variants

    if name.endswith(SUFFIXES) and not os.path.isdir(name):
        return None
    is_spec = name in bundled() or name in variants()
    inside = out / name
    if is_spec and not os.path.isdir(name):
        if (inside / "environment.json").is_file():
            click.echo(f"note: `{name}` is the bundled spec; the run of this name is {inside}", err=True)
        return None
    if not os.path.isdir(name) and not inside.is_dir():
        return None
    from trainer.runs.folders import find

    return find(name, out)


def _of_spec(spec: Spec, origin: str | None, *, weights: bool, aux: bool) -> Model:
    echo_notes(spec.notes)
    spec = spec if aux else spec.without_aux()
    images = _images_of_recipe(spec)
    if origin is not None and weights:
        from archspec.weights.origins import metadata_of

        images = _images(metadata_of(origin), spec, images)

    def make() -> nn.Module:
        module = spec.build().eval()
        if origin is not None:
            from archspec.weights.origins import load_from

            load_from(origin, module, spec.plan.input)
        return module

    whose = "initial weights" if origin is None else f"weights of {origin}"
    return Model(spec, whose, images, make, name=_name(spec))


def _name(spec: Spec) -> str:
    """The variant's name where it begins with the file's, else both."""
    stem, variant = Path(spec.file).stem, spec.variant
    return stem if variant is None else variant if variant.startswith(stem) else f"{stem}-{variant}"


def _of_run(run: Run, *, weights: bool, aux: bool) -> Model:
    whole = load(str(run.folder / "spec.yaml"))
    spec = whole if aux else whole.without_aux()
    classes = run.environment.get("classes")
    if not weights:
        if (had := _trained_spec(run)) is not None:
            _check_network(run, whole, had)
        return Model(spec, "", _images({"classes": classes}, spec), spec.build, name=run.folder.name)
    import torch

    from trainer.runs.evaluation import load_network

    trained = load_network(run, torch.device("cpu"))
    module = trained.module
    _check_network(run, whole, module.hparams["spec"])
    which = "best" if trained.weights.stem == "best" else "last"
    if run.status != "finished":
        note = f"note: the run {run.folder} is {run.status}: these are its {which} weights so far"
        click.echo(escape_line(note), err=True)
    mean, std = module.moments()
    known = {"mean": mean.tolist(), "std": std.tolist(), "classes": classes}
    resize = module.recipe.resize.to_dict()
    # of tokens, what runs along the last axis has no axes of 1 behind it
    axis = len(spec.plan.input) - 1 if len(spec.plan.input) == 2 and module.mean.ndim == 1 else 0
    columns = (run.environment.get("form") or {}).get("columns")
    answer, answers = _answers(module)

    def make() -> nn.Module:
        module = spec.build()
        own = module.state_dict()
        module.load_state_dict({n: t for n, t in trained.module.network.state_dict().items() if n in own})
        return module.eval()

    images = _images({**known, "resize": resize, "axis": axis, "features": columns}, spec)
    epoch = "" if trained.epoch is None else f", epoch {trained.epoch}"
    return Model(spec, f"{which} weights of {run.folder}{epoch}", images, make, answer, answers, run.folder.name)


def _trained_spec(run: Run) -> dict[str, Any] | None:
    """The spec that a run was trained with, as written down beside it (no torch needed); `None` where it is gone."""
    import yaml

    try:
        known = yaml.safe_load((run.folder / "hparams.yaml").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None
    spec = known.get("spec") if isinstance(known, dict) else None
    return spec if isinstance(spec, dict) else None


def _check_network(run: Run, spec: Spec, trained: dict[str, Any]) -> None:
    """Raises `UsageError` where a run's `spec.yaml` is no longer the one that its weights were trained with."""
    given, had = (json.loads(json.dumps(one, default=str)) for one in (spec.resolved, trained))
    changed = [key for key in dict.fromkeys((*had, *given)) if key not in _WORDS and given.get(key) != had.get(key)]
    if changed:
        raise UsageError(
            f"{escape_line(str(run.folder / 'spec.yaml'))} was changed after the run: {join_words(changed)} "
            f"{'is' if len(changed) == 1 else 'are'} not as its weights were trained with",
            help="put back what it was, which hparams.yaml beside it holds; or train the changed network as a new run",
        )


_WORDS = ("name", "description", "source", "expect", "train")
"""The parts of a spec that its network does not depend on."""


def _answers(module: SpecModule) -> tuple[nn.Module | None, dict[str, nn.Module]]:
    """What follows the main output of a run's network, and what follows its named ones, by their names."""
    if module.heads:
        of = {name: module.answer.of(name) for name in module.heads}  # type: ignore[union-attr, operator]
        return of.pop(MAIN, None), of
    if module.answer is None:
        return None, {}
    return module.answer, {name: copy.deepcopy(module.answer) for name in module.outputs}


def _images_of_recipe(spec: Spec) -> Images:
    """What a recipe itself says of images."""
    from archspec.recipe.images import IMAGENET
    from archspec.recipe.sections import Moments

    given = spec.recipe.normalize if len(spec.plan.takes) == 1 else None  # of several inputs it would be of which?
    moments = IMAGENET if given == "imagenet" else given
    return Images(moments.mean, moments.std) if isinstance(moments, Moments) else Images()


def _count_channels(plan: Plan, axis: int) -> int:
    """How many numbers normalise the inputs: one for each channel or feature."""
    return plan.input[axis] if len(plan.takes) == 1 else sum(one.shape[0] for one in plan.takes)


def _images(known: dict[str, Any], spec: Spec, otherwise: Images = Images()) -> Images:  # noqa: B008 - it is frozen
    """What is known of images; what does not fit the network is left out."""
    axis: int = known.get("axis", 0)
    channels, outputs = _count_channels(spec.plan, axis), spec.plan.output[0]
    mean, std, classes = known.get("mean"), known.get("std"), known.get("classes")
    features = known.get("features")
    fits = mean is not None and std is not None and len(mean) == len(std) == channels
    return Images(
        tuple(mean) if mean and fits else otherwise.mean,
        tuple(std) if std and fits else otherwise.std,
        tuple(map(str, classes)) if classes and len(classes) == outputs else None,
        known.get("resize"),
        axis,
        tuple(map(str, features)) if features and len(features) == channels else None,
    )
