"""What is known of a network that has errors: all that does not depend on them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "language"))

from fuzz import LINE_CHANGES
from mutants import Writer

from archspec.cli import cli
from archspec.layers.registry import primitives
from archspec.plan.partial import PartialPlan
from archspec.plan.plan import Plan
from archspec.spec import Checked, check_text
from archspec.views.hints import Hint, hints

HEAD = "archspec: 1\ninput: [3, 32, 32]\nvars: {width: 16}\nnetwork:\n"


def check(text: str) -> Checked:
    return check_text((HEAD + text).encode(), "net.yaml", [None])


def partial(text: str) -> PartialPlan:
    (plan,) = check(text).partial
    return plan


def lines(plan: Plan | PartialPlan) -> dict[int, str]:
    """Hints by the line below `network:`, from 1."""
    return {line - 4: str(hint) for line, hint in hints(plan).items()}


def test_what_stands_before_an_error_is_known_and_what_follows_is_not() -> None:
    plan = partial("  - conv: {out: =width, kernel: 3, padding: 1}\n  - conw: 3\n  - relu\n")
    assert [path for path, _ in plan.layers()] == ["0"]
    assert lines(plan) == {
        1: "3×32×32 → 16×32×32, 448 parameters, 442 KMACs",  # 16·(3·9 + 1), 32·32·16·27
        2: "16×32×32 → ?",
        3: "? → ?",
    }


@pytest.mark.parametrize(
    ("wrong", "known"),
    [
        ("  - batch_norm: {epsilon: 3}\n", "3×32×32 → 3×32×32"),
        ("  - {relu: {odd: 1}, when: =odd}\n", "3×32×32 → 3×32×32"),
        ("  - add: {main: [{conw: 3}], shortcut: []}\n", "3×32×32 → ?"),
        ("  - aux: {name: side, weight: 1, body: [{conw: 3}]}\n", "3×32×32 → 3×32×32"),
        ("  - save: keep\n  - conw: 3\n  - load: keep\n", "? → 3×32×32"),
    ],
    ids=[
        "a layer that keeps shapes",
        "its modifiers",
        "a branch of a sum",
        "an auxiliary classifier",
        "a saved tensor",
    ],
)
def test_what_follows_an_error_is_known_where_its_shape_does_not_depend_on_it(wrong: str, known: str) -> None:
    found = lines(partial(wrong + "  - {conv: {out: 8, kernel: 3}}\n"))
    assert known in found.values()
    assert found[max(found)] == "3×32×32 → 8×30×30, 224 parameters, 194 KMACs"  # 8·(3·9 + 1), 30·30·8·27


def test_an_error_of_a_variable_leaves_what_does_not_use_it() -> None:
    text = "archspec: 1\ninput: [3, 8, 8]\nvars: {width: =1 / 0}\nnetwork:\n  - tanh\n  - dropout: =width\n  - conv: {out: 4, kernel: 1}\n  - conv: {out: =width, kernel: 1}\n  - relu\n"
    (plan,) = check_text(text.encode(), "net.yaml").partial
    assert [path for path, _ in plan.layers()] == ["0", "2"]


def test_each_error_says_what_it_hides() -> None:
    checked = check("  - batch_norm: {epsilon: 3}\n  - relu\n  - conw: 3\n  - tanh\n  - repeat: 3\n    relu:\n")
    hidden = {one.code: (what.nodes, what.first_line - 4, what.last_line - 4) for one, what in checked.hidden().items()}
    assert hidden == {"argument-unknown": (1, 1, 1), "name-unknown": (3, 3, 6)}


def test_a_sound_file_has_no_partial_plan() -> None:
    assert check("  - flatten\n").partial == ()


def test_the_part_before_a_fault_in_yaml_is_known_but_for_the_node_that_may_go_on() -> None:
    checked = check(
        "  - conv: {out: 4, kernel: 3}\n  - conv:\n      out: 8\n      kernel: 3\n       stride: 2\n  - relu\n"
    )
    assert [one.code for one in checked.diagnostics] == ["yaml-syntax"]
    assert [(path, layer.output) for path, layer in checked.partial[0].layers()] == [("0", (4, 30, 30))]


def test_nothing_is_said_before_a_fault_in_yaml_behind_which_defaults_stand() -> None:
    assert check("  - conv: {out: 4, kernel: 3}\n  - relu: {\ndefaults: {conv: {bias: false}}\n").partial == ()


def test_the_command_gives_it_as_json(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(HEAD + "  - {conv: {out: 4, kernel: 3}, name: stem}\n  - conw: 3\n")
    done = CliRunner().invoke(cli, ["check", "--format", "json", str(file)])
    said = json.loads(done.stdout)
    assert said["errors"][0]["hides"] == {"nodes": 1, "first_line": 6, "last_line": 6}
    (plan,) = said["partial"]
    assert plan["layers"] == [
        {
            "path": "stem",
            "primitive": "conv",
            "arguments": {
                "out": 4,
                "kernel": 3,
                "stride": 1,
                "padding": 0,
                "dilation": 1,
                "groups": 1,
                "bias": True,
            },
            "input": [3, 32, 32],
            "output": [4, 30, 30],
            "params": 112,
            "macs": 97200,
            "file": str(file),
            "line": 5,
        }
    ]
    assert plan["unknown"] == [
        {
            "path": "1",
            "input": [4, 30, 30],
            "output": None,
            "wrong": True,
            "file": str(file),
            "line": 6,
            "column": 5,
        }
    ]


# --- mutants ---------------------------------------------------------------------------------------------------------


def mutants(random: Random) -> tuple[str, str, int]:
    """A sound spec, the same with a line of its network changed, and the number of that line."""
    text = Writer(random).spec()
    written = text.split("\n")
    begin = (
        written.index("network:")
        if "network:" in written
        else next(i for i, line in enumerate(written) if line.startswith("network:"))
    )
    end = next((i for i, line in enumerate(written) if line.startswith("init:")), len(written))
    at = random.randrange(begin + 1, end)
    change = random.choice([*LINE_CHANGES.values(), lambda line, random: ""])
    written[at] = change(written[at], random)
    return text, "\n".join(written), at + 1


def in_order(checked: Checked, before: int) -> list[Any]:
    """The layers that are executed before the first one that a line from `before` on asks for."""
    found = []
    for node in checked.specs[0].plan.layers:
        calls = [frame.mark.line for frame in node.calls if frame.mark is not None]
        if [*calls, node.line][0] >= before:
            break
        found.append((node.path, node.layer))
    return found


def test_before_the_fault_of_a_mutant_all_is_as_in_the_sound_file() -> None:
    random, broken, layers, compared = Random(3), 0, 0, 0
    for _ in range(120):
        text, changed, line = mutants(random)
        begin = text[: text.index("\nnetwork:")].count("\n") + 2
        sound, wrong = check_text(text.encode(), "net.yaml", [None]), check_text(changed.encode(), "net.yaml", [None])
        if not wrong.diagnostics or not wrong.partial:
            continue
        broken += 1
        (plan,) = wrong.partial
        marks = [one.mark.line for one in wrong.diagnostics if one.mark]
        fault = min(line, *marks, *(part.mark.line for part in plan.unknown if part.wrong))
        expected = in_order(sound, fault)
        known = list(plan.layers())[: len(expected)]
        assert [(path, layer.primitive, layer.input, layer.output, layer.params) for path, layer in known] == [
            (path, layer.primitive, layer.input, layer.output, layer.params) for path, layer in expected
        ], changed
        layers += len(expected)
        before, after = hints(sound.specs[0].plan), hints(plan)
        for at in before.keys() & after.keys():
            alone = indentation(text, at + 1) <= indentation(text, at)  # nothing below belongs to it
            closed = begin < at < fault - 1 and alone
            if closed and not after[at].unknown and after[at].count == before[at].count:
                assert after[at] == before[at], changed
                compared += 1
    assert broken > 35
    assert layers > 120
    assert compared > 50


def indentation(text: str, line: int) -> int:
    written = text.split("\n")[line - 1]
    return len(written) - len(written.lstrip())


# --- hints -----------------------------------------------------------------------------------------------------------


def test_a_repeated_line_and_a_loop_show_their_range() -> None:
    text = """\
  - {conv: {out: 4, kernel: 3}, repeat: 2}
  - for: {out: [8, 16]}
    body:
      - conv: {out: =out, kernel: 3}
      - relu
  - [global_avg_pool, flatten, {linear: 10}]
"""
    (spec,) = check(text).specs
    assert lines(spec.plan) == {
        1: "3×32×32 → 4×28×28 ×2, 260 parameters, 210 KMACs",  # 112 + 148; 30·30·4·27 + 28·28·4·36
        2: "4×28×28 → 16×24×24 ×2, 1,464 parameters, 858 KMACs",  # 296 + 1,168; 26·26·8·36 + 24·24·16·72
        4: "4×28×28 → 16×24×24 ×2, 1,464 parameters, 858 KMACs",
        5: "8×26×26 → 16×24×24 ×2",
        6: "16×24×24 → 10, 170 parameters, 160 MACs",
    }
    assert hints(spec.plan)[8] == Hint(8, 2, (4, 28, 28), (8, 26, 26), (8, 26, 26), (16, 24, 24), 1464, 858_240)


def test_a_line_of_a_block_has_the_hints_of_all_its_calls() -> None:
    text = """\
archspec: 1
input: [4, 8, 8]
blocks:
  twice:
    args: {out: 4}
    body:
      - conv: {out: =out, kernel: 1}
      - conv: {out: =2 * out, kernel: 1}
network: [{twice: 8}, twice]
"""
    (spec,) = check_text(text.encode(), "net.yaml").specs
    found = {line: str(one) for line, one in hints(spec.plan).items()}
    assert found == {
        7: "4×8×8 → 4×8×8 ×2, 108 parameters, 6.14 KMACs",  # 4·8 + 8, 16·4 + 4; 64·(32 + 64)
        8: "8×8×8 → 8×8×8 ×2, 184 parameters, 10.2 KMACs",  # 8·16 + 16, 4·8 + 8; 64·(128 + 32)
        9: "4×8×8 → 8×8×8, 292 parameters, 16.4 KMACs",
    }


def test_layers_whose_rule_says_so_keep_the_shape_of_their_input() -> None:
    for primitive in primitives().values():
        keeps = all(
            layer.output == layer.input
            for example in primitive.examples
            for _, layer in _layers_of(example, primitive.example_input)
        )
        assert keeps or not primitive.keeps_shape, primitive.name


def _layers_of(example: str, shape: tuple[int, ...]) -> list[tuple[str, Any]]:
    text = (
        f"archspec: 1\ninput: {list(shape)}\nnetwork:\n  - {{{example}}}\n"
        if ":" in example
        else (f"archspec: 1\ninput: {list(shape)}\nnetwork:\n  - {example}\n")
    )
    (spec,) = check_text(text.encode(), "net.yaml").specs
    return [(node.path, node.layer) for node in spec.plan.layers]
