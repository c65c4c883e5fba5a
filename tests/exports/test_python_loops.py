"""Loops of `forward`: passes that save or load tensors stay a loop, and compute what the module does, bit for bit."""

from __future__ import annotations

from typing import Any

import pytest
from exports.test_python_export import assert_computes_the_same
from plan.test_tensor_blocks import CELL, EXCHANGE, conv

from archspec.exports.python import write
from archspec.spec import Spec, from_dict, load

LEVELS = ["a", "b", "c"]
DOWN = {"for": {"level": LEVELS}, "body": [conv(6, 3), {"save": "=level"}, {"max_pool": 2}]}
UP = {"for": {"level": LEVELS[::-1]}, "body": [{"upsample": 2}, {"concat": [{"load": "=level"}, []]}, conv(6, 3)]}
NEXT = {"cell": None, "load": ["x", "p"], "save": ["x", "p"]}
EXCHANGES = {"exchange": 8, "load": ["high", "low"], "save": ["high", "low"]}


def pyramid(prefix: str = "'p'") -> list[Any]:
    """A branch down from the last tensor to that of level `a`, with an output at each; names begin with a formula."""
    passing = [
        {"add": {"lateral": [{"load": "=level"}, conv(8, 1)], "down": conv(8, 1)}},
        {"save": "merged", "when": "=not last"},
        conv(8, 3),
        {"output": f"={prefix} + level"},
        {"load": "merged", "when": "=not last"},
    ]
    top = [{"save": "merged"}, conv(8, 3), {"output": f"={prefix} + 'c'"}, {"load": "merged"}]
    return [*top, {"for": {"level": ["b", "a"]}, "body": passing}]


CASES: dict[str, Any] = {
    "levels in the same order": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level"}]},
        {"for": {"level": LEVELS}, "body": [{"add": [{"load": "=level"}, []]}, conv(8, 3)]},
    ],
    "some of the levels": [
        {"for": {"level": ["a", "b", "c", "d"]}, "body": [conv(8, 3), {"save": "=level"}]},
        {"for": {"level": ["c", "b", "a"]}, "body": [{"add": {"skip": {"load": "=level"}, "x": []}}, conv(8, 3)]},
        {"add": [{"load": "d"}, [{"load": "b"}, conv(8, 3)], []]},
    ],
    "levels out of order": [
        {"for": {"level": ["a", "b", "c", "d"]}, "body": [conv(8, 3), {"save": "=level"}]},
        {"for": {"level": ["d", "a", "c", "b"]}, "body": [{"add": [{"load": "=level"}, []]}, conv(8, 3)]},
    ],
    "tensors that no loop saved": [
        {"save": "a"},
        conv(8, 3),
        {"save": "b"},
        conv(8, 3),
        {"for": {"level": ["b", "a", "b"]}, "body": [{"add": [{"load": "=level"}, []]}, conv(8, 3)]},
        {"for": {"level": ["b", "a"]}, "body": [{"add": [{"load": "=level"}, [conv(8, 3), conv(8, 3)]]}, conv(8, 3)]},
    ],
    "one tensor in all passes": [
        {"save": "start"},
        {"for": {"i": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "start"}, []]}]},
        {"add": [{"load": "start"}, []]},
    ],
    "the tensor of the pass before": [
        {"save": "before"},
        {"for": {"i": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "before"}, []]}, {"save": "before"}, "relu"]},
        {"add": [{"load": "before"}, []]},
    ],
    "the tensor of the pass before, which has another name": [
        {"save": "before"},
        {"output": "start"},
        {"for": {"i": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "before"}, []]}, {"save": "before"}, "relu"]},
        {"add": [{"load": "before"}, []]},
    ],
    "names within a pass": [
        {"for": {"name": LEVELS}, "body": [{"save": "=name"}, conv(8, 3), {"add": [{"load": "=name"}, []]}, "relu"]},
        {"for": {"i": [1, 2, 3]}, "body": [{"save": "k"}, conv(8, 3), {"add": [{"load": "k"}, []]}]},
    ],
    "within a branch": [
        {"save": "before"},
        {
            "add": [
                [
                    {"for": {"i": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "before"}, []]}]},
                    {
                        "for": {"i": [1, 2, 3]},
                        "body": [conv(8, 3), {"add": [[], {"load": "before"}]}, {"save": "before"}],
                    },
                ],
                [{"load": "before"}, "relu"],
                [],
            ]
        },
    ],
    "loops in loops": [
        {"save": "start"},
        {
            "for": {"i": [1, 2, 3]},
            "body": [
                conv(8, 3),
                {"save": "outer"},
                {"for": {"j": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "outer"}, {"load": "start"}, []]}]},
            ],
        },
        {
            "for": {"i": [0, 3, 6]},
            "body": [
                {"for": {"j": [1, 2, 3]}, "body": [conv(8, 3), {"save": "='n' + str(i + j)"}]},
                {"for": {"j": [3, 1, 2]}, "body": [{"add": [{"load": "='n' + str(i + j)"}, []]}, conv(8, 3)]},
            ],
        },
    ],
    "outputs": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"output": "=level"}, "relu"]},
        {"for": {"level": ["d", "e", "f"]}, "body": {"add": [[conv(8, 3), {"output": "=level"}], "relu"]}},
    ],
    "outputs of loops in loops": [
        {
            "for": {"i": [0, 3, 6]},
            "body": [conv(8, 3), {"for": {"j": [1, 2, 3]}, "body": [conv(8, 3), {"output": "='n' + str(i + j)"}]}],
        },
    ],
    "all but the last": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level", "when": "=not last"}, "relu"]},
        {"for": {"level": ["b", "a"]}, "body": [{"add": [{"load": "=level"}, []]}, conv(8, 3)]},
    ],
    "all but the last, in place of the one before": [
        {"save": "before"},
        {
            "for": {"i": [1, 2, 3]},
            "body": [
                conv(8, 3),
                {"add": [{"load": "before"}, []]},
                {"save": "before", "when": "=not last"},
                "relu",
            ],
        },
        {"add": [{"load": "before"}, []]},
    ],
    "a pyramid": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level", "when": "=not last"}]},
        *pyramid(),
    ],
    "a pyramid that begins with another tensor": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level"}]},
        {"add": [{"load": "c"}, []]},
        *pyramid()[:-1],
        "relu",
        pyramid()[-1],
    ],
    "a pyramid whose last but one level is taken": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level"}]},
        {"add": [{"load": "c"}, []]},
        *pyramid(),
        {"add": [{"load": "merged"}, []]},
    ],
    "a pyramid again and again": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level", "when": "=not last"}]},
        {"for": {"i": [0, 3, 6]}, "body": [conv(8, 3), *pyramid("'n' + str(i)")]},
    ],
    "in an auxiliary classifier": [
        {"save": "start"},
        {
            "aux": {
                "name": "side",
                "weight": 0.3,
                "body": [
                    {"for": {"i": [1, 2, 3]}, "body": [conv(8, 3), {"add": [{"load": "start"}, []]}]},
                    "global_avg_pool",
                ],
            }
        },
        conv(8, 3),
    ],
    "computed again": [
        {"for": {"level": LEVELS}, "body": [conv(8, 3), {"save": "=level"}], "recompute": True},
        {"for": {"level": LEVELS}, "body": [{"add": [{"load": "=level"}, []]}, conv(8, 3)]},
    ],
    "cells": [{"save": "x"}, {"save": "p"}, {"for": {"i": [1, 2, 3]}, "body": NEXT}],
    "exchanges": [
        {"save": "high"},
        conv(16, 3, 2),
        {"save": "low"},
        {"for": {"i": [1, 2, 3]}, "body": EXCHANGES},
        {"concat": [{"load": "high"}, [{"load": "low"}, {"upsample": 2}]]},
    ],
}


def made(network: Any) -> Spec:
    blocks = {name: block for name, block in (("cell", CELL), ("exchange", EXCHANGE)) if f"'{name}'" in str(network)}
    defaults = {"act": "relu", "norm": "batch_norm"}
    data: dict[str, Any] = {"archspec": 1, "name": "Loops", "input": [8, 8, 8], "defaults": defaults}
    return from_dict(data | {"network": network} | ({"blocks": blocks} if blocks else {}))


def forward(spec: Spec) -> str:
    """The last `forward` of a file."""
    text = write(spec.plan)
    return text[text.rindex("    def forward") :]


def test_the_u_net_goes_down_and_up_in_loops() -> None:
    assert (
        forward(load("unet"))
        == """\
    def forward(self, x: Tensor) -> Tensor:
        saved = []
        for level in self.down:
            kept = level["0"](x)
            saved.append(kept)
            x = level["2"](kept)
        x = self.bottom(x)
        for level, same_level in zip(self.up, reversed(saved), strict=True):
            x = level["0"](x)
            x = torch.cat([same_level, x], dim=1)
            x = level["2"](x)
        return self.head(x)
"""
    )


def test_a_pyramid_goes_up_and_down_in_loops() -> None:
    assert (
        forward(load("imagenet/fpn"))
        == """\
    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.stem(x)
        saved = []
        for stage in self.stages:
            x = stage(x)
            saved.append(x)
        merged = self.top["lateral"](x)
        p5 = self.top["smooth"](merged)
        p6 = self.top["4"](p5)
        outputs = []
        for level, lateral in zip(self.pyramid, reversed(saved[:3]), strict=True):
            merged = level["0"]["lateral"](lateral) + level["0"]["top_down"](merged)
            x = level["smooth"](merged)
            outputs.append(x)
        return x, {
            "p5": p5,
            "p6": p6,
            "p4": outputs[0],
            "p3": outputs[1],
            "p2": outputs[2],
        }
"""
    )


def test_tensors_of_a_cell_go_from_pass_to_pass() -> None:
    assert (
        forward(made(CASES["exchanges"]))
        == """\
    def forward(self, x: Tensor) -> Tensor:
        high = x
        low = self["1"](high)
        x = low
        for level in self["3"]:
            high, low = level(high, low)
            x = high
        return torch.cat([high, self["4"]["1"](low)], dim=1)
"""
    )


@pytest.mark.parametrize("name", CASES)
def test_it_computes_the_same(name: str) -> None:
    assert_computes_the_same(made(CASES[name]))
