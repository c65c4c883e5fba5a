"""Rows of loops, and values by `let`, give the network that is written out without them."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict

Layers = list[tuple[str, str, int, tuple[int, ...]]]


def _load(*network: object, **sections: object) -> Spec:
    return from_dict({"archspec": 1, "input": [3, 8, 8], "network": list(network), **sections})


def _layers(*network: object, **sections: object) -> Layers:
    plan = _load(*network, **sections).plan
    return [(layer.path, layer.layer.primitive, layer.params, layer.output) for layer in plan.layers]


def _conv(out: object, kernel: object, stride: object = 1) -> dict[str, object]:
    return {"conv": {"out": out, "kernel": kernel, "stride": stride, "padding": 2}}


BODY = _conv("=out", "=kernel", "=stride")
WRITTEN = [[_conv(4, 3, 1), _conv(5, 5, 2), _conv(6, 3, 1)]]  # a loop's passes and a list's nodes have equal paths
ROWS: dict[str, Any] = {
    "columns": {"out": [4, 5, 6], "kernel": [3, 5, 3], "stride": [1, 2, 1]},
    "a table": {"as": ["out", "kernel", "stride"], "rows": [[4, 3, 1], [5, 5, 2], [6, 3, 1]]},
    "rows of mappings": [
        {"out": 4, "kernel": 3, "stride": 1},
        {"stride": 2, "kernel": 5, "out": 5},
        {"out": 6, "kernel": 3, "stride": 1},
    ],
    "a table of mappings": {
        "as": ["out", "kernel", "stride"],
        "rows": [{"stride": 1, "out": 4, "kernel": 3}, [5, 5, 2], {"out": 6, "kernel": 3, "stride": 1}],
    },
    "a table and a column": {"as": ["out", "kernel"], "rows": [[4, 3], [5, 5], [6, 3]], "stride": [1, 2, 1]},
    "cells by formula": {"as": ["out", "kernel", "stride"], "rows": [["=c_in + 1", "=w", 1], [5, 5, 2], [6, "=w", 1]]},
    "rows by formula": {"as": ["out", "kernel", "stride"], "rows": "=rows[:3]"},
    "one row by formula": {"as": ["out", "kernel", "stride"], "rows": [[4, 3, 1], "=rows[1]", [6, 3, 1]]},
}
VARS = {"w": 3, "rows": [[4, 3, 1], [5, 5, 2], [6, 3, 1], [7, 7, 7]]}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_rows_in_every_form_are_the_layers_written_out(rows: object) -> None:
    assert _layers({"for": rows, "body": BODY}, vars=VARS) == _layers(*WRITTEN)


def test_a_cell_may_be_a_list() -> None:
    looped = _layers(
        {"for": {"as": ["out", "kernel"], "rows": [[4, [3, 1]], [5, 3]]}, "body": _conv("=out", "=kernel")}
    )
    assert looped == _layers([_conv(4, [3, 1]), _conv(5, 3)])


def test_rows_make_branches() -> None:
    rows = [{"out": 4, "pad": 0}, {"out": 5, "pad": 1}]
    body = {"conv": {"out": "=out", "kernel": "=1 + 2 * pad", "padding": "=pad"}}
    written = [{"conv": {"out": 4, "kernel": 1}}, {"conv": {"out": 5, "kernel": 3, "padding": 1}}]
    assert _layers({"concat": {"for": rows, "body": body}}) == _layers({"concat": written})


def test_a_column_may_still_be_called_rows() -> None:
    assert _layers({"for": {"rows": [4, 5]}, "body": _conv("=rows", 3)}) == _layers([_conv(4, 3), _conv(5, 3)])


def test_let_keeps_what_reaches_it_for_all_that_follows() -> None:
    network = [
        {"let": {"channels": "=c_in", "wide": "=channels * 4"}},
        {"add": {"main": [_conv("=wide", 5), _conv("=channels", 5)], "shortcut": []}},
    ]
    written = [["tanh"], {"add": {"main": [_conv(12, 5), _conv(3, 5)], "shortcut": []}}]
    assert _layers(*network) == _layers(*written)[1:]  # it takes a place, and has no module


def test_let_among_parts_is_for_the_parts_after_it() -> None:
    parts = {"stem": [_conv(4, 5)], "let": {"seen": "=c_in"}, "head": [_conv("=seen * 2", 5)]}
    plan = from_dict({"archspec": 1, "input": [3, 8, 8], "network": parts}).plan
    assert [(layer.path, layer.output[0]) for layer in plan.layers] == [("stem.0", 4), ("head.0", 8)]


def test_let_of_a_loop_is_computed_for_each_pass_and_names_its_index_for_inner_loops() -> None:
    inner = {"for": {"j": "=range(2)"}, "body": _conv("=hidden + 100 * stage + 10 * index", 5)}
    looped = _load({"for": {"expand": [2, 3]}, "let": {"hidden": "=c_in * expand", "stage": "=index"}, "body": inner})
    # 3 * 2 = 6, and 10 more; then 16 * 3 = 48 with 100 of the stage, and 10 more
    assert [layer.output[0] for layer in looped.plan.layers] == [6, 16, 148, 158]
    assert [layer.path for layer in looped.plan.layers] == ["0.0.0", "0.0.1", "0.1.0", "0.1.1"]


def test_let_of_a_loop_that_makes_branches_sees_what_reaches_the_merge() -> None:
    looped = {"concat": {"for": {"n": [1, 3]}, "let": {"out": "=c_in * n"}, "body": [_conv(7, 5), _conv("=out", 5)]}}
    assert [layer.output[0] for layer in _load(looped).plan.layers] == [7, 3, 7, 9]


def test_let_is_seen_within_its_own_list_alone() -> None:
    with pytest.raises(SpecError, match="there is no variable `n` here"):
        _load([{"let": {"n": 4}}, _conv("=n", 5)], _conv("=n", 5))


def test_what_is_wrong_in_let_is_reported_once() -> None:
    with pytest.raises(SpecError) as caught:
        _load({"let": {"n": "=1 // 0", "m": "=n + 1"}}, _conv("=n", 5), _conv("=m", 5))
    assert [one.code for one in caught.value.diagnostics] == ["formula-value"]


def test_many_lets_in_a_list_take_time_in_proportion() -> None:
    """A fault of the square of their number would take minutes, and run into the limit of the test."""
    lets = [{"let": {f"v{i}": i}} for i in range(20_000)]
    assert _load(*lets, _conv("=v19999 // 5000 + 1", 5)).plan.output[0] == 4
