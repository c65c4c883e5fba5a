"""Blocks with windows that are no squares: padded so that only strides change the size."""

from __future__ import annotations

from typing import Any

import pytest

from archspec.commands.explain import example_spec
from archspec.language.vocabulary import library_block, library_names
from archspec.spec import from_dict

ONE_DIMENSIONAL = ("efficient_channel_attention",)  # its window slides over the channels
PADS = ("same_pad",)  # it pads for a window of another layer
BLOCKS = [
    (name, argument.name)
    for name in library_names()
    for argument in library_block(name).signature.arguments
    if argument.name.startswith("kernel") and name not in (*ONE_DIMENSIONAL, *PADS)
]


def convolutions(name: str, argument: str, kernel: Any) -> tuple[Any, list[Any], int]:
    data = example_spec(library_block(name))
    (node,) = data["network"]
    given = node[name] if isinstance(node, dict) else {}
    main = library_block(name).signature.main
    assert main is not None
    given = dict(given) if isinstance(given, dict) else {} if given is None else {main.name: given}
    plan = from_dict(data | {"network": [{name: given | {argument: kernel}}]}).plan
    convs = [one.layer for one in plan.layers if one.layer.primitive == "conv"]
    return plan.output, [one.arguments["kernel"] for one in convs], plan.params


@pytest.mark.parametrize(("name", "argument"), BLOCKS, ids=lambda one: str(one))
def test_windows_may_be_rows_and_columns(name: str, argument: str) -> None:
    square, row, column = (convolutions(name, argument, kernel) for kernel in (5, [1, 5], [5, 1]))
    assert square[0] == row[0] == column[0]
    widened = [at for at, kernel in enumerate(square[1]) if kernel == 5]
    assert widened
    assert {(row[1][at], column[1][at]) for at in widened} == {((1, 5), (5, 1))}
    assert square[2] > row[2] == column[2]


def test_every_block_with_convolutions_of_3_by_3_has_a_kernel() -> None:
    """But those whose windows are what their papers are about."""
    named = {name for name, _ in BLOCKS}
    fixed = {*(f"inception_{kind}" for kind in "abcde"), *(f"inception_resnet_{kind}" for kind in "abc")}
    for name in set(library_names()) - named - fixed - {*ONE_DIMENSIONAL, *PADS}:
        plan = from_dict(example_spec(library_block(name))).plan
        kernels = [one.layer.arguments["kernel"] for one in plan.layers if one.layer.primitive == "conv"]
        assert all(kernel == 1 for kernel in kernels), name


@pytest.mark.parametrize(
    ("name", "usual", "windows"),
    [
        ("inception_c", 7, 6),
        ("inception_d", 7, 2),
        ("inception_e", 3, 4),
        ("inception_resnet_b", 7, 2),
        ("inception_resnet_c", 3, 2),
    ],
)
def test_windows_that_are_taken_apart_may_have_another_length(name: str, usual: int, windows: int) -> None:
    """As Inception v3's paper has n×n windows: only their 1×n and n×1 convolutions differ."""
    (output, kernels, _), (other, longer, _) = (convolutions(name, "length", length) for length in (usual, 9))
    assert output == other
    apart = {(1, usual): (1, 9), (usual, 1): (9, 1)}
    assert longer == [apart.get(kernel, kernel) for kernel in kernels]
    assert sum(kernel in apart for kernel in kernels) == windows
