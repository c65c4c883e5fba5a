"""All that we use of torch and Lightning that they do not document.

Each function fails with `UsageError` where the installed version no longer has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

from archspec.foundation.errors import UsageError

if TYPE_CHECKING:
    from pytorch_lightning.callbacks import ModelCheckpoint


def sample_dirichlet(concentration: Tensor, generator: Generator | None) -> Tensor:
    """Samples of Dirichlet distributions, `(N, K)` like their concentrations. (`torch.distributions` takes no
    generator.)

    Raises `UsageError`.
    """
    samples: Tensor = _attribute(torch, "_sample_dirichlet", "torch")(concentration, generator=generator)
    return samples


def restart_in_evaluation(loop: Any) -> None:
    """Mark an evaluation loop as one to resume from the middle. Raises `UsageError`."""
    from pytorch_lightning.loops import evaluation_loop

    _attribute(loop, "_restart_stage", "pytorch-lightning")
    loop._restart_stage = _attribute(evaluation_loop, "RestartStage", "pytorch-lightning").RESTARTED_MID_EVALUATION


def restore_best(callback: ModelCheckpoint, path: str, score: Tensor) -> None:
    """Restore the file and score that a `ModelCheckpoint` of one file holds for the best. Raises `UsageError`.

    Its own state names the folder that the run was trained in, which may have been moved.
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
