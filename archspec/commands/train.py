"""`archspec train`: train specs and compare them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from archspec.commands._common import echo_notes, plugin_option, set_option, variants_option
from archspec.commands._training import (
    DataOptions,
    extend_named_run,
    find_rates,
    fit_batches,
    is_first,
    profile_all,
    rehearse_all,
    report_errors_once,
    resume_named_run,
    train_all,
)
from archspec.foundation.errors import UsageError

if TYPE_CHECKING:
    from archspec.spec import Spec
    from trainer.processes.group import ProcessGroup
    from trainer.runs.folders import Result


@click.command("train")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@variants_option
@click.option(
    "--recipe", metavar="RECIPE", help="A recipe, laid over that of the spec: a YAML file, or one of ours by its name."
)
@click.option(
    "--data", metavar="NAME|FOLDER", help="A data set by its name, or a folder of images, instead of the recipe's."
)
@click.option("--task", metavar="NAME", help="What is learned, instead of the recipe's: by default what the data fit.")
@click.option(
    "--data-folder",
    type=click.Path(path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The folder of data sets.",
)
@click.option("--download", is_flag=True, help="Download the data set there if it is missing.")
@click.option("--skip-unreadable", is_flag=True, help="Skip images that cannot be read, rather than stop.")
@click.option(
    "--weights",
    metavar="SOURCE",
    help="Start from weights: those of a FILE, of a RUN by its folder, or torchvision's (torchvision:resnet18).",
)
@click.option("--partial", is_flag=True, help="Leave out weights that do not fit, a head for example, and say which.")
@click.option("--adapt", is_flag=True, help="Convert a file's weights to another size or number of channels.")
@click.option("--epochs", type=click.IntRange(1), help="Number of epochs.")
@click.option(
    "--batch-size",
    metavar="N|auto",
    callback=lambda _context, _option, value: _count_or_auto(value),
    help="Images per batch; auto: as many as the GPU's memory holds.",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Train faster, by torch.compile and channels last; on a CPU it needs a C++ compiler.",
)
@click.option(
    "--exact", is_flag=True, help="On a CPU, the bits of a plain torch loop: nothing rounds otherwise to be faster."
)
@set_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Where runs are kept."
)
@click.option("--name", metavar="NAME", help="What the run is called, and its folder; the spec's name by default.")
@click.option("--resume", metavar="RUN", help="Resume a run that was stopped: its folder, or its name below --out.")
@click.option(
    "--from",
    "previous",
    metavar="RUN",
    help="Go on with a run, in a folder of its own, until it has been trained for --epochs in all.",
)
@click.option("--force", is_flag=True, help="Train again even if there is a finished run.")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    metavar="N",
    default=1,
    help="Train each SPEC N times, with N consecutive seeds.",
)
@click.option(
    "--save-steps", type=click.IntRange(1), metavar="N", help="Write a checkpoint also every N steps of an epoch."
)
@click.option(
    "--save-minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Write a checkpoint also every N minutes.",
)
@click.option(
    "--devices",
    metavar="N|auto",
    callback=lambda _context, _option, value: _count_or_auto(value),
    help="Number of GPUs (with --accelerator cpu: of processes) on this machine; auto: all its GPUs.",
)
@click.option("--num-nodes", type=click.IntRange(1), help="Number of machines; the command is started on each.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "ddp", "fsdp"]),
    default="auto",
    show_default=True,
    help="Distributed strategy; auto: ddp if there are several processes.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["auto", "cpu", "gpu"]),
    default="auto",
    show_default=True,
    help="Accelerator; auto: a GPU if available.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    metavar="N",
    help="Number of processes that read images which do not fit into memory; by default one for each CPU, up to 8.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check everything, train with a few batches, say what it will take, and stop."
)
@click.option("--lr-find", is_flag=True, help="Raise the learning rate from step to step, suggest one, and stop.")
@click.option("--profile", is_flag=True, help="Time the parts of a step, show where its time goes, and stop.")
@click.option("--print-config", is_flag=True, help="Print the spec and recipe that would be trained, and stop.")
@plugin_option
@click.pass_context
def command(
    context: click.Context,
    specs: tuple[str, ...],
    variants: tuple[str, ...],
    recipe: str | None,
    data: str | None,
    task: str | None,
    data_folder: Path,
    download: bool,
    skip_unreadable: bool,
    weights: str | None,
    partial: bool,
    adapt: bool,
    epochs: int | None,
    batch_size: int | None,
    compile: bool,
    exact: bool,
    settings: tuple[str, ...],
    out: Path,
    name: str | None,
    resume: str | None,
    previous: str | None,
    force: bool,
    repeat: int,
    save_steps: int | None,
    save_minutes: float | None,
    devices: int | None,
    num_nodes: int | None,
    strategy: str,
    accelerator: str,
    workers: int | None,
    dry_run: bool,
    lr_find: bool,
    profile: bool,
    print_config: bool,
) -> None:
    """Train each SPEC by its recipe, then compare them. Without a SPEC: a small network, in about a minute."""
    if resume is not None:
        _check_kept(context, "--resume")
    if previous is not None:
        _check_kept(context, "--from")
        if epochs is None:
            raise UsageError("--from goes on with a run for more epochs: --epochs says for how many in all")
    specs = specs or ("digits",)
    if variants and len(specs) > 1:
        raise UsageError("--variant goes with one SPEC; name variants of bundled specs themselves (resnet18 resnet34)")
    if compile and exact:
        raise UsageError(
            "--compile rounds otherwise than a plain loop, which --exact excludes", help="give one of them"
        )
    changed = {
        "data.name": None if data is None or resume is not None else json.dumps(data),
        "weights": None if weights is None else json.dumps(weights),
        "partial": partial or None,
        "adapt": adapt or None,
        "task": task,
        "epochs": epochs,
        "batch_size": None if batch_size == ALL else batch_size,
        "compile": compile or None,
        "channels_last": compile or None,
        "exact": exact or None,
    }
    settings = (*settings, *_settings(changed))
    with report_errors_once():
        chosen = [] if resume or previous else _chosen(specs, variants)
        loaded = [_loaded(*one, recipe, settings) for one in chosen]
    if name is not None:
        _check_name(name, 1 if previous else len(loaded))
    if is_first():
        echo_notes(note for spec in loaded for note in spec.notes)
    if print_config:
        click.echo("---\n".join(map(_config, loaded)), nl=False)
        return

    alone = _alone(dry_run, lr_find, profile, batch_size)
    with _processes(accelerator, devices, num_nodes, strategy, alone) as group:
        from trainer.session import Options

        options = Options(_interactive(), save_steps, save_minutes, workers=workers, group=group)
        there = data_folder if context.get_parameter_source("data_folder") is ParameterSource.COMMANDLINE else None
        if resume is not None:
            results = [resume_named_run(resume, there, out, options, data)]
        elif previous is not None and epochs is not None:
            results = [extend_named_run(previous, epochs, there, out, options)]
        else:
            from trainer.runs.job import DataCache

            settable = frozenset(setting.partition("=")[0].removeprefix("vars.") for setting in settings)
            source = DataOptions(data_folder, settable, download, skip_unreadable, DataCache(), name)
            if batch_size == ALL:
                loaded = fit_batches(loaded, source, options)
            if dry_run or lr_find or profile:
                (rehearse_all if dry_run else find_rates if lr_find else profile_all)(loaded, source, out, options)
                return
            results = train_all(loaded, repeat, source, out, options, force=force)
        if group.rank == 0:
            _show_results(results, out)


def _settings(changed: Mapping[str, object]) -> list[str]:
    """Settings of the recipe's keys that options change, as `--set` takes them; `None` changes nothing."""
    written = {key: "true" if value is True else value for key, value in changed.items() if value is not None}
    return [f"train.{key}={value}" for key, value in written.items()]


def _alone(dry_run: bool, lr_find: bool, profile: bool, batch_size: int | None) -> str | None:
    """The option that tries out a single process, if one is given. Raises `UsageError` where several are."""
    trials = [name for name, given in (("--dry-run", dry_run), ("--lr-find", lr_find), ("--profile", profile)) if given]
    if len(trials) > 1:
        raise UsageError(f"{trials[0]} and {trials[1]} each stop before the training", help="give one of them")
    return next(iter(trials), "--batch-size auto" if batch_size == ALL else None)


def _chosen(specs: Sequence[str], variants: Sequence[str]) -> list[tuple[str, str | None]]:
    """Each spec with its variant: several of one spec are compared."""
    return [(specs[0], one) for one in dict.fromkeys(variants)] or [(spec, None) for spec in specs]


def _check_name(name: str, trainings: int) -> None:
    """Raises `UsageError` where a name is not that of a folder below --out, or of one training."""
    if trainings > 1:
        raise UsageError(
            "--name names one training, and several are asked for", help="leave it out, or train one by one"
        )
    if not name.isprintable() or "/" in name or "\\" in name or name.startswith((".", "-")) or not name.strip():
        raise UsageError(
            f"`{name}` cannot be the name of a run's folder", help="take letters and digits, `wide-lr0.1` say"
        )


def _check_kept(context: click.Context, option: str) -> None:
    """Raises `UsageError` where `--resume` or `--from` is given together with options that would change the run."""
    given = {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    free = {"resume", "data"} if option == "--resume" else {"previous", "epochs"}
    free |= {"data_folder", "out", "save_steps", "save_minutes", "plugins"}
    free |= {"devices", "num_nodes", "strategy", "accelerator", "workers"}
    changing = [_OPTION_NAMES.get(name, f"--{name.replace('_', '-')}") for name in sorted(given - free)]
    if changing:
        raise UsageError(
            f"{option} keeps the settings of the run, and cannot be combined with {', '.join(changing)}",
            help=f"leave that out, or train anew without {option}",
        )


def _interactive() -> bool:
    return sys.stdout.isatty() and sys.stderr.isatty()


@contextmanager
def _processes(
    accelerator: str, devices: int | None, num_nodes: int | None, strategy: str, alone: str | None
) -> Iterator[ProcessGroup]:
    """The processes on the requested devices, connected; for the option `alone`, a single one. Raises `UsageError`."""
    if _interactive():
        click.echo("loading torch …", err=True)
    from trainer.processes.devices import DeviceRequest
    from trainer.processes.launch import process_group

    with report_errors_once():
        available = DeviceRequest(accelerator, devices, num_nodes, strategy).resolve()
        if alone and available.processes > 1:
            raise UsageError(
                f"{alone} tries out one process, and {available.processes} are asked for",
                help="leave --devices and --num-nodes out, and set the share of one process: --set train.batch_size=32",
            )
    with process_group(available) as group:
        yield group


def _show_results(results: Sequence[Result], out: Path) -> None:
    """Print the comparison, and of several runs write it into `out` too."""
    from rich.console import Console

    from trainer.report.tables import print_table, write_tables

    print_table(results, Console(width=None if sys.stdout.isatty() else 200))
    if len(results) > 1:
        click.echo(f"the table: {', '.join(map(str, write_tables(results, out)))}")


_OPTION_NAMES = {"specs": "SPEC", "settings": "--set", "variants": "--variant", "previous": "--from"}


ALL = -1
"""What `auto` stands for where a number is asked for."""


def _count_or_auto(value: str | None) -> int | None:
    """A number from 1 on, `ALL` for `auto`."""
    if value is None or value == "auto":
        return None if value is None else ALL
    if not value.isascii() or not value.isdigit() or int(value) < 1:
        raise click.BadParameter(f"`{value}` is neither a number from 1 on nor `auto`.")
    return int(value)


def _loaded(name: str, variant: str | None, recipe: str | None, settings: tuple[str, ...]) -> Spec:
    """A spec with a recipe and then settings laid over it."""
    from archspec.spec import load

    if recipe is None:
        return load(name, variant, set=settings)
    from trainer import recipes

    return load(name, variant, set=settings, recipe=recipes.find(recipe))


def _config(spec: Spec) -> str:
    """A spec and its complete recipe, as YAML."""
    import yaml

    data = spec.resolved | {"train": spec.recipe.complete()}
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120))
