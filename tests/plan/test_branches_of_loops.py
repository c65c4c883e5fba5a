"""Merges whose branches are the passes of a loop, and results that nothing uses."""

from __future__ import annotations

import pytest

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict


def _load(*network: object) -> Spec:
    return from_dict({"archspec": 1, "input": [3, 8, 8], "network": list(network)})


def _conv(kernel: object) -> dict[str, object]:
    return {"conv": {"out": 4, "kernel": kernel, "padding": "same"}}


def test_a_loop_makes_the_branches_that_could_be_written_out() -> None:
    looped = _load({"concat": {"for": {"k": [1, 3, 5]}, "body": [_conv("=k")]}}).plan
    written = _load({"concat": [[_conv(1)], [_conv(3)], [_conv(5)]]}).plan
    assert [layer.path for layer in looped.layers] == [layer.path for layer in written.layers]
    assert (looped.output, looped.params, looped.macs) == (written.output, written.params, written.macs) != ()
    assert looped.output == (12, 8, 8)
    assert [layer.calls[-1].label for layer in looped.layers] == ["row 1 of `for`", "row 2 of `for`", "row 3 of `for`"]


def test_a_loop_of_one_written_row_makes_no_merge() -> None:
    with pytest.raises(SpecError, match="has one branch"):
        _load({"concat": {"for": {"k": [3]}, "body": [_conv("=k")]}})


def test_a_result_that_a_load_takes_the_place_of_is_named_with_the_load() -> None:
    with pytest.raises(SpecError, match="the result of `conv` goes nowhere: `load` at"):
        _load({"save": "x"}, _conv(3), {"add": [[{"load": "x"}], [{"load": "x"}, "relu"]]})


@pytest.mark.parametrize("use", [{"output": "side"}, {"aux": {"name": "side", "weight": 0.3, "body": ["relu"]}}])
def test_what_is_given_out_is_used(use: dict[str, object]) -> None:
    assert _load({"save": "x"}, _conv(3), use, {"load": "x"}).plan.output == (3, 8, 8)
