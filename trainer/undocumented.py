"""All that we use of torch and Lightning that they do not document.

Each function fails with `UsageError` where the installed version no longer has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from archspec.foundation.errors import UsageError


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


def _attribute(owner: Any, name: str, package: str) -> Any:
    if not hasattr(owner, name):
        raise UsageError(
            f"the installed {package} has no `{name}`, which archspec needs",
            help=f"install an older {package}, or a newer archspec",
        )
    return getattr(owner, name)
