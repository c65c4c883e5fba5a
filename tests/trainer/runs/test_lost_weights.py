"""Best weights that are gone or damaged: the last ones are taken and named, or it is said how to take them."""

from __future__ import annotations

from pathlib import Path

import pytest

from archspec.foundation.errors import UsageError
from archspec.spec import from_dict
from trainer.errors import explain_failed_writes
from trainer.runs import folders
from trainer.runs.checkpoints import Damaged
from trainer.runs.evaluation import load_network
from trainer.runs.job import prepare
from trainer.session import Options, train


@pytest.mark.slow
def test_best_weights_that_are_lost_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = {"data": "digits", "epochs": 1, "batch_size": 256}
    written = {"archspec": 1, "input": [1, 8, 8], "network": ["flatten", {"linear": 10}], "train": recipe}
    run = folders.find(train(prepare(from_dict(written), tmp_path), tmp_path, Options(pictures=False)).folder, tmp_path)
    best, last = (run.folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
    capsys.readouterr()
    assert load_network(run).weights == best
    assert capsys.readouterr().err == ""
    best.write_bytes(best.read_bytes()[:-100])
    with pytest.raises(Damaged) as caught:
        load_network(run)
    assert str(caught.value) == (
        f"the checkpoint {best} is damaged: its checksum does not fit its content\n"
        f"  help: move it away, and the last weights are taken, of {last}"
    )
    best.unlink()
    assert load_network(run).weights == last
    assert capsys.readouterr().err == (
        f"note: {best}, the best weights, is not there: the last ones are taken, {last}\n"
    )


def test_a_folder_that_was_removed_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught, explain_failed_writes(tmp_path / "run"):
        (tmp_path / "run" / "metrics.csv").write_text("")
    assert str(caught.value) == f"the run's folder {tmp_path}/run is no longer there\n  help: train anew"
