"""Formulas: what they compute, and that they can do nothing else."""

from __future__ import annotations

import contextlib
import time
import warnings
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from archspec.foundation.errors import Fault
from archspec.foundation.formulas import parse
from archspec.foundation.functions import FUNCTIONS, divisible
from archspec.foundation.values import MAX_ITEMS, BudgetExceeded, budget

SCOPE = {"width": 64, "depths": [3, 4, 6, 3], "block": "bottleneck", "c_in": 256, "first": True}


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("width * 4", 256),
        ("-width + +1", -63),
        ("7 / 2", 3.5),
        ("7 // 2", 3),
        ("-7 % 4", 1),
        ("2 ** 10", 1024),
        ("2 ** -1", 0.5),
        ("width if first else 1", 64),
        ("stride" if False else "1 if not first else 2", 2),
        ("width != c_in or width == 1", True),
        ("first and width", 64),
        ("1 < 2 < 3", True),
        ("1 < 2 > 3", False),
        ("block == 'bottleneck'", True),
        ("block in ['resnet', 'bottleneck']", True),
        ("depths[1]", 4),
        ("depths[-1]", 3),
        ("depths[1:3]", [4, 6]),
        ("depths[::-1]", [3, 6, 4, 3]),
        ("[width, 2 * width]", [64, 128]),
        ("[0] * 3 + [1]", [0, 0, 0, 1]),
        ("'a' + 'b'", "ab"),
        ("none == none", True),
        ("true and not false", True),
        ("min(3, 1, 2)", 1),
        ("max(depths)", 6),
        ("abs(-3)", 3),
        ("round(2.6)", 3),
        ("round(2.345, 2)", 2.35),
        ("int(2.9)", 2),
        ("float(2)", 2.0),
        ("len(depths)", 4),
        ("sum(depths)", 16),
        ("range(2, 8, 3)", [2, 5]),
        ("ceil(2.1)", 3),
        ("floor(-2.1)", -3),
        ("divisible(33, 8)", 32),
        ("[2 * x for x in depths]", [6, 8, 12, 6]),
        ("[x for x in depths if x > 3 and width > x]", [4, 6]),
        ("sum([x * x for x in range(3)])", 5),
        ("[pair(x)[0] for x in [[1, 2], [3, 4]]]", [1, 3]),
        ("[i for i in [j + 1 for j in depths]]", [4, 5, 7, 4]),
        ("[x for x in []]", []),
    ],
)
def test_value(formula: str, value: Any) -> None:
    result = parse(formula).evaluate(SCOPE)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("value", "divisor"), [(v, d) for v in (1, 3, 8, 11, 12, 19.2, 67.2, 100, 1280) for d in (1, 4, 8, 10)]
)
def test_divisible_is_torchvisions_make_divisible(value: float, divisor: int) -> None:
    from torchvision.models._utils import _make_divisible

    assert divisible(value, divisor) == _make_divisible(value, divisor)


@pytest.mark.parametrize(
    "formula",
    [
        "().__class__",
        "width.bit_length()",
        "__import__('os')",
        "open('/etc/passwd')",
        "eval('1')",
        "(lambda: 1)()",
        "[x for x in depths for y in depths]",
        "[[y for y in depths] for x in depths]",
        "[x for x, y in depths]",
        "[x for x in depths if x if x]",
        "[min for min in depths]",
        "sum(x for x in depths)",
        "{x for x in depths}",
        "{1: 2}",
        "{1, 2}",
        "(1, 2)",
        "f'{width}'",
        "(x := 1)",
        "min(*depths)",
        "min(depths, default=1)",
        "width @ 2",
        "~width",
        "width << 2",
        "width is 1",
        "b'a'",
        "1j",
        "...",
        "depths[0].real",
        "await x",
        "yield",
        "",
        "1 +",
        "1; 2",
        "import os",
        "x = 1",
        "\x00",
        "(" * 300,
        "-" * 900 + "1",
        "1+" * 499 + "1",
        "9" * 1001,
    ],
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(formula)
    assert caught.value.code == "formula-syntax"


@pytest.mark.parametrize(
    "formula",
    [
        "9 ** 9 ** 9",
        "2 ** 64",
        "10.0 ** 400",
        "(-8) ** 0.5",
        "'%1000000000d' % 1",
        "'a' * 10",
        "[0] * 100000",
        "[[0] * 999] * 999",
        "range(1000000)",
        "range(10 ** 18)",
        "round(1, -1000000000) // 0",
        "1 // 0",
        "1 % 0",
        "1 / 0",
        "1e308 * 10",
        "depths[4]",
        "depths['a']",
        "depths[::0]",
        "width[0]",
        "'a' < 1",
        "1 in 2",
        "true + 1",
        "none + 1",
        "depths + 1",
        "len(3)",
        "sum(['a'])",
        "min()",
        "min([])",
        "max('abc')",
        "int('3')",
        "range(1.5)",
        "range(0, 1, 0)",
        "divisible(3, 0)",
    ],
)
def test_what_has_no_value_says_so_at_once(formula: str) -> None:
    began = time.process_time()
    with pytest.raises(Fault) as caught:
        parse(formula).evaluate(SCOPE)
    assert caught.value.code == "formula-value"
    assert time.process_time() - began < 5  # years, if nothing bounded it


def test_values_cannot_grow_from_one_variable_to_the_next() -> None:
    scope: dict[str, Any] = {"v0": [0] * 100}
    for i in range(2):
        scope[f"v{i + 1}"] = parse(f"[v{i}, v{i}, v{i}]").evaluate(scope)
    with pytest.raises(Fault, match="more than 1000 items"):
        parse("[v2, v2, v2]").evaluate(scope)
    assert MAX_ITEMS == 1_000


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="=()[]+-*/%<>!,.:'\" 019eabfor_inlmxtudsw\n\\{}@~^&|", max_size=60))
def test_any_text_is_a_value_or_a_fault(text: str) -> None:
    try:
        parse(text).evaluate(SCOPE)
    except Fault as fault:
        assert fault.code in ("formula-syntax", "formula-value", "variable-unknown")


@pytest.mark.parametrize("text", ["1if first else 2", "block == '\\d'", "width is 1", "'a' is 'b'", "2(3)"])
def test_python_warns_nobody_of_a_formula(text: str) -> None:
    parse.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(Fault):
            parse(text)
    assert caught == []


def test_the_functions_are_those_of_the_language() -> None:
    assert list(FUNCTIONS) == [
        "min",
        "max",
        "abs",
        "round",
        "int",
        "float",
        "len",
        "sum",
        "range",
        "ceil",
        "floor",
        "divisible",
        "same_padding",
        "pair",
        "str",
    ]


@pytest.mark.parametrize(
    ("text", "value"), [("pair(3)", [3, 3]), ("pair([3, 5])", [3, 5]), ("pair(n)[1] + pair([1, 2])[0]", 8)]
)
def test_a_pair_is_a_list_of_two(text: str, value: object) -> None:
    assert parse(text).evaluate({"n": 7}) == value


@pytest.mark.parametrize(
    "text", ["pair(2.5)", "pair(true)", "pair([1])", "pair([1, 2, 3])", "pair('3')", "pair([1, 'a'])"]
)
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="`pair` cannot be computed of"):
        parse(text).evaluate({})


def test_a_list_made_of_another_uses_what_is_around_it_alone() -> None:
    formula = parse("[width * x for x in depths if x != first_depth]")
    assert formula.names == {"width", "depths", "first_depth"}


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        (
            "[width for width in depths]",
            "`=[width for width in depths]`: `width` is a variable already",
            "give the items another name: nothing is hidden",
        ),
        (
            "[x for x in width]",
            "`=[x for x in width]`: a list is needed behind `in`, not the number 64",
            None,
        ),
        (
            "[x for x in block]",
            "`=[x for x in block]`: a list is needed behind `in`, not the text 'bottleneck'",
            None,
        ),
        ("[y for x in depths]", "`=[y for x in depths]`: there is no variable `y` here", None),
        (
            "[depths for x in range(999)]",
            f"`=[depths for x in range(999)]`: the result has more than {MAX_ITEMS} items",
            None,
        ),
    ],
)
def test_what_cannot_be_made_item_by_item_says_why(text: str, message: str, help: str | None) -> None:
    with pytest.raises(Fault) as caught:
        parse(text).evaluate(SCOPE)
    assert (caught.value.message, caught.value.help) == (message, help)


def test_work_of_items_counts() -> None:
    """A thousand items, each of which takes a thousand operations and more, are too many for a file; a hundred are not."""
    formula = parse(f"[sum([{','.join(['x'] * 300)}]) for x in items]")
    with budget():
        assert formula.evaluate({"items": [2] * 100}) == [600] * 100
    with budget(), pytest.raises(BudgetExceeded):
        formula.evaluate({"items": [2] * 1000})


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        (
            "sum(x for x in depths)",
            "`=sum(x for x in depths)` holds a comprehension without brackets, which formulas do not have",
            "put it in brackets: `sum([2 * x for x in widths])`",
        ),
        (
            "[x for x in depths for y in depths]",
            "`=[x for x in depths for y in depths]` holds a comprehension of another form, which formulas do not have",
            "the form is `[2 * x for x in widths if x > 8]`: one `for`, one name, at most one `if`",
        ),
    ],
)
def test_other_comprehensions_are_refused(text: str, message: str, help: str) -> None:
    with pytest.raises(Fault) as caught:
        parse(text)
    assert (caught.value.message, caught.value.help) == (message, help)
