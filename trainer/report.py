"""Results side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from trainer.run import Result


def print_table(results: Sequence[Result], console: Console) -> None:
    """The comparison of runs: accuracies, parameters, GMACs and time; below it, where each run is kept."""
    sets = sorted({result.data for result in results})
    table = Table(title=f"trained on {', '.join(sets)}")
    table.add_column("spec", overflow="fold")
    if len(sets) > 1:
        table.add_column("data", overflow="fold")
    for heading in ("val accuracy", "test accuracy", "parameters", "GMACs", "epochs", "time"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.name,
            *([result.data] if len(sets) > 1 else []),
            "-" if result.val_accuracy is None else f"{result.val_accuracy:.2%}",
            f"{result.test_accuracy:.2%}",
            f"{result.params:,}",
            f"{result.macs / 1e9:.3f}",
            str(result.epochs),
            f"{result.seconds:.0f} s" if result.seconds < 600 else f"{result.seconds / 60:.0f} min",
        )
    console.print(table)
    for result in results:
        console.print(f"{result.name}: {result.folder}", soft_wrap=True, highlight=False)
