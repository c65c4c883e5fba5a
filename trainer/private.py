"""What torch and Lightning have and do not document, in one place. Tried with torch 2.14 and Lightning 2.6.

Each fails with `UsageError` where the installed version no longer has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from archspec.foundation.errors import UsageError


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


def _attribute(owner: Any, name: str, package: str) -> Any:
    if not hasattr(owner, name):
        raise UsageError(
            f"the installed {package} has no `{name}`, which archspec needs",
            help=f"install an older {package}, or a newer archspec",
        )
    return getattr(owner, name)
