"""What torch and Lightning have and do not document, in one place. Tried with torch 2.14 and Lightning 2.6.

Each fails with `UsageError` where the installed version no longer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from archspec.foundation.errors import UsageError

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import ModelCheckpoint


def sample_dirichlet(concentration: Tensor, generator: Generator | None) -> Tensor:
    """Draws of Dirichlet distributions, `(N, K)` like their concentrations. (`torch.distributions` takes no generator.)

    Raises `UsageError`.
    """
    drawn: Tensor = _attribute(torch, "_sample_dirichlet", "torch")(concentration, generator=generator)
    return drawn


def restart_in_evaluation(loop: Any) -> None:
    """Have Lightning take up an evaluation loop as one that was stopped in its midst. Raises `UsageError`."""
    from pytorch_lightning.loops import evaluation_loop

    _attribute(loop, "_restart_stage", "pytorch-lightning")
    loop._restart_stage = _attribute(evaluation_loop, "RestartStage", "pytorch-lightning").RESTARTED_MID_EVALUATION


def restore_best(callback: ModelCheckpoint, path: str, score: Tensor) -> None:
    """Have a `ModelCheckpoint` that keeps one file know it, and its score, again. Raises `UsageError`.

    What it restores by itself names the folder that the run was trained in, which may have been moved.
    """
    known = {"best_model_path": path, "kth_best_model_path": path, "best_k_models": {path: score}}
    known |= dict.fromkeys(("best_model_score", "kth_value", "current_score"), score)
    for name, value in known.items():
        _attribute(callback, name, "pytorch-lightning")
        setattr(callback, name, value)


def _attribute(owner: Any, name: str, package: str) -> Any:
    if not hasattr(owner, name):
        raise UsageError(
            f"the installed {package} has no `{name}`, which archspec needs",
            help=f"install an older {package}, or a newer archspec",
        )
    return getattr(owner, name)
