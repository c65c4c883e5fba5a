"""`archspec sample`: what is drawn, against figures by hand and spaces that are counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from archspec.cli import cli
from archspec.foundation.errors import Fault, SpecError, UsageError
from archspec.foundation.reading import read
from archspec.views.memory import training_memory
from archspec.views.space import Space, read_space

NET = """archspec: 1
name: Sampled
input: [3, 16, 16]
vars: {width: 16, groups: 1, widths: [4, 8]}
network:
  - conv: {out: =width, kernel: 3, padding: 1, groups: =groups}
  - for: {out: =widths}
    body: [{conv: {out: =out, kernel: 1, bias: false}}]
  - [global_avg_pool, flatten]
"""


def params(width: int, groups: int, widths: list[int]) -> int:
    """By hand: a convolution with a bias, then 1×1 convolutions without."""
    channels = [width, *widths]
    return 27 * width // groups + width + sum(a * b for a, b in zip(channels, widths, strict=False))


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    Path("net.yaml").write_text(NET)

    def command(space: str, *arguments: str) -> Result:
        Path("space.yaml").write_text(space)
        return CliRunner().invoke(cli, ["sample", "net.yaml", "--space", "space.yaml", *arguments])

    return command


def found(result: Result) -> list[dict[str, Any]]:
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.stdout.splitlines()]


SPACE = """
width: {from: 3, to: 30, step: 3}
groups: [1, 3]
widths: {each: {from: 2, to: 8, step: 2}, length: 2}
"""


def test_what_is_drawn_lies_in_the_space_and_meets_all_constraints(sample: Any) -> None:
    result = sample(SPACE, "--count", "40", "--constraint", "params <= 0.5K", "--constraint", "width > 2 * widths[0]")
    drawn = found(result)
    assert len(drawn) == 40
    for one in drawn:
        width, groups, widths = (one["vars"][name] for name in ("width", "groups", "widths"))
        assert width in range(3, 31, 3)
        assert groups in (1, 3)
        assert all(each in (2, 4, 6, 8) for each in widths)
        assert len(widths) == 2
        assert one["params"] == params(width, groups, widths) <= 500
        assert width > 2 * widths[0]
        assert one["output"] == [widths[-1]]
        assert one["layers"] == 5
    assert len({json.dumps(one["vars"]) for one in drawn}) == 40
    assert "40 of " in result.stderr
    assert "architectures meet the constraints (" in result.stderr
    assert " a second\n" in result.stderr


def test_a_space_is_drawn_whole_and_what_gives_no_network_is_counted(sample: Any) -> None:
    result = sample("width: [3, 4]\ngroups: [1, 3]\n", "--count", "10")
    drawn = [(one["vars"]["width"], one["vars"]["groups"]) for one in found(result)]
    assert sorted(drawn) == [(3, 1), (3, 3), (4, 1)]
    assert result.stderr.startswith("3 of 4 architectures meet the constraints (1 give no network); ")


def test_the_seed_decides_what_is_drawn(sample: Any) -> None:
    first, again, other = (found(sample(SPACE, "--seed", seed)) for seed in ("5", "5", "6"))
    assert first == again
    assert first != other


def test_memory_is_that_of_a_training_step(sample: Any) -> None:
    import archspec

    (one,) = found(sample("width: [8]", "--constraint", "memory < 1G", "--batch", "4"))
    plan = archspec.load("net.yaml", vars={"width": 8}).plan
    assert one["memory"] == training_memory(plan, 4, "sgd", {"momentum": 0.9}).peak


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--constraint", "parms < 3"], "--constraint: there is no figure or variable `parms`\n  help: did you mean `params`?"),
        (["--constraint", "params"], "--constraint: `params` is neither true nor false\n  help: write `params <= 5M`, say"),
        (["--constraint", "width[0] < 3"], "--constraint: `=width[0] < 3`: only lists and strings have items, not the number 3"),
        (
            ["--constraint", "params < 3"],
            "none of 1 architectures that were drawn meets the constraints (1 fail `params < 3`)\n"
            "  help: give --draws, or a larger space",
        ),
    ],
)  # fmt: skip
def test_a_wrong_constraint_is_refused(sample: Any, arguments: list[str], message: str) -> None:
    error = sample("width: [3]", *arguments).exception
    assert isinstance(error, UsageError)
    assert str(error).split(", not the number")[0] == message.split(", not the number")[0]


def test_where_no_network_is_given_the_reason_is_said(sample: Any) -> None:
    error = sample("width: [4]\ngroups: [3]").exception
    assert isinstance(error, UsageError)
    assert str(error) == (
        "none of 1 architectures that were drawn meets the constraints (1 give no network)\n"
        "  help: most often, `groups` (3) of `conv` does not divide its 4 output channels"
    )


def test_all_that_is_wrong_with_a_space_is_said_with_its_place(sample: Any) -> None:
    text = "widt: [1]\nwidth: {from: 9, to: 3}\ngroups: 3\nwidths: {each: {from: 1, to: 2}, length: 2, lenght: 3}\n"
    error = sample(text).exception
    assert isinstance(error, SpecError)
    assert [one.render().split("\n")[0] for one in error.diagnostics] == [
        "space.yaml:1:1: error[variable-unknown]: the spec has no variable `widt`",
        "space.yaml:2:8: error[out-of-range]: `to` (3) is less than `from` (9)",
        "space.yaml:3:9: error[type-mismatch]: `space.groups` must be a list of values, `{from: …, to: …}`, or "
        "`{each: …, length: …}`, not the number 3",
        "space.yaml:4:45: error[key-unknown]: `lenght` has no meaning in `widths`",
    ]


def space(data: dict[str, Any]) -> Space:
    made = read_space(read(yaml.safe_dump(data).encode(), "space.yaml"), data)
    assert isinstance(made, Space), [str(one) for one in made if isinstance(one, Fault)]
    return made


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ([1, "a", None], 3),
        ({"from": 1, "to": 10}, 10),
        ({"from": 0, "to": 1, "step": 0.1}, 11),
        ({"from": 16, "to": 100, "step": 8}, 11),
        ({"each": {"from": 1, "to": 3}, "length": 4}, 81),
        ({"from": 0.5, "to": 1.5}, float("inf")),
    ],
)
def test_a_range_gives_each_of_its_values_and_no_other(values: Any, size: float) -> None:
    made, random = space({"x": values}), Random(0)
    assert made.size == size
    drawn = Counter(json.dumps(made.draw(random)["x"]) for _ in range(2000))
    assert len(drawn) == min(size, len(drawn))
    if size < 100:
        assert len(drawn) == size
        assert max(drawn.values()) < 3 * 2000 / size


def test_by_log_each_doubling_is_as_likely_as_any_other() -> None:
    made, random = space({"x": {"from": 1, "to": 1024, "log": True}}), Random(0)
    drawn = [made.draw(random)["x"] for _ in range(4000)]
    assert all(type(one) is int and 1 <= one <= 1024 for one in drawn)
    assert 0.45 < sum(one < 32 for one in drawn) / 4000 < 0.55
