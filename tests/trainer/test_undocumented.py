"""What is used of torch and Lightning without being documented."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.loops.evaluation_loop import RestartStage

from archspec.foundation.errors import UsageError
from trainer import undocumented


def test_what_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch, "_sample_dirichlet")
    with pytest.raises(UsageError, match=r"^the installed torch has no `_sample_dirichlet`, which archspec needs"):
        undocumented.sample_dirichlet(torch.ones(2, 2), None)
    loop = SimpleNamespace()
    with pytest.raises(UsageError, match=r"^the installed pytorch-lightning has no `_restart_stage`, which"):
        undocumented.restart_in_evaluation(loop)
    assert vars(loop) == {}


def test_an_evaluation_is_taken_up_in_its_midst() -> None:
    loop = SimpleNamespace(_restart_stage=RestartStage.NONE)
    undocumented.restart_in_evaluation(loop)
    assert loop._restart_stage is RestartStage.RESTARTED_MID_EVALUATION
