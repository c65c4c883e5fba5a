"""What is worth saying of a spec and no error: a word that is called otherwise now."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import archspec
from archspec.foundation import reading
from archspec.spec import SpecFile

NET = """archspec: 1
input: [3, 8, 8]
blocks:
  mine: {body: [relu, {tanh: , checkpoint: true}]}
network:
  - {conv: {out: 4, kernel: 1}, checkpoint: true}
  - {mine: , repeat: 2}
  - flatten
variants: {one: , two: }
"""
NOTES = (
    "net.yaml:4:32: note: `checkpoint` is now called `recompute`\n"
    "net.yaml:6:33: note: `checkpoint` is now called `recompute`\n"
)


def test_check_says_once_for_each_place_what_is_called_otherwise_now(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("check", "net.yaml", "net.yaml", "--format", "json")
    assert (done.returncode, done.stderr) == (0, NOTES)
    (tmp_path / "net.yaml").write_text(NET.replace("checkpoint", "recompute"))
    now = run("check", "net.yaml", "net.yaml", "--format", "json")
    assert (now.returncode, now.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(now.stdout)


@pytest.mark.slow
def test_train_and_build_say_it_too(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET)
    done = run("train", "net.yaml", "--variant", "one", "--print-config")
    assert (done.returncode, done.stderr) == (0, NOTES)
    done = run("build", "net.yaml", "--variant", "two")
    assert (done.returncode, done.stderr) == (0, NOTES)


def test_a_former_name_means_what_the_name_means_now(tmp_path: Path) -> None:
    plans = []
    for text in (NET, NET.replace("checkpoint", "recompute")):
        (tmp_path / "net.yaml").write_text(text)
        spec = archspec.load(tmp_path / "net.yaml")
        plans.append([(one["path"], one["recompute"]) for one in spec.plan.to_dict()["layers"]])
    assert plans[0] == plans[1]
    assert [on for _, on in plans[0]] == [True, False, True, False, True, False]
    assert spec.notes == ()


def test_notes_of_a_spec_that_is_wrong_are_said_beside_its_errors(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(NET.replace("flatten", "flaten"))
    done = run("check", "net.yaml")
    assert done.returncode == 1
    assert done.stderr.endswith(NOTES)
    assert "error[name-unknown]" in done.stderr


UNUSED = """archspec: 1
input: [3, 8, 8]
vars: {width: 8, depth: 2, base: 4, twice: =2 * base, only: 3, rate: 0.1}
blocks:
  mine: {args: {width: 4}, body: [conv: {out: =width, kernel: 1}]}
network:
  - mine
  - for: {depth: [1, 2]}
    body: [conv: {out: =depth, kernel: 1}]
train: {optimizer: {name: sgd, lr: =rate}}
variants:
  other: {network: [conv: {out: =only, kernel: 1}]}
"""


def test_a_variable_that_nothing_uses_is_noted(run: Callable, tmp_path: Path) -> None:
    """A block's argument and a column of the same name are not the variable; what one variant uses is used."""
    (tmp_path / "net.yaml").write_text(UNUSED)
    done = run("check", "net.yaml")
    assert (done.returncode, done.stderr) == (
        0,
        "net.yaml:3:8: note: nothing depends on the variable `width`\n"
        "net.yaml:3:18: note: nothing depends on the variable `depth`\n"
        "net.yaml:3:28: note: nothing depends on the variable `base`\n"
        "net.yaml:3:37: note: nothing depends on the variable `twice`\n",
    )
    assert run("check", "net.yaml", "--variant", "other").stderr == ""  # the others may use it


def test_a_variable_of_a_file_that_is_extended_is_not_noted(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(UNUSED)
    (tmp_path / "net.yaml").write_text("archspec: 1\nextends: base.yaml\nnetwork: [relu]\n")
    done = run("check", "net.yaml")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_setting_that_changes_nothing_is_refused(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(UNUSED)
    done = run("check", "net.yaml", "--set", "width=16", "--variant", "other")
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "--set:1:1: error[usage]: `width` is set, but nothing depends on it\n"
        "    1 | width=16\n"
        "      | ^^^^^\n"
        "  help: write `=width` where its value belongs; or choose a variant that uses it\n",
    )
    done = run("check", "net.yaml", "--set", "only=5")  # one of the variants uses it
    assert (done.returncode, done.stdout.count("\n")) == (0, 2)


IDLE = """archspec: 1
input: [3, 8, 8]
vars: {width: 8}
defaults: {act: relu, conv: {bias: false}, linear: {bias: false}}
blocks:
  used:
    args: {width: 8, stride: 1}
    let: {half: =width * 2}
    body: [conv: {out: =width, kernel: 1, bias: true}]
  unused: {body: [relu]}
network:
  - let: {channels: =c_in}
  - for: {width: [8, 16], kernel: [1, 3]}
    let: {double: =2 * width}
    body: [used: =width]
  - for: {as: [width, kernel], rows: [[8, 1], [16, 3]]}
    body: [used: =width]
  - for: {count: =range(2)}
    body: [tanh]
  - relu:
    init: {conv: {weight: zeros}}
init: {linear: {weight: zeros}, conv: {bias: zeros}}
variants: {other: {defaults: {act: tanh}}}
"""


def test_what_stands_in_a_file_to_no_effect_is_said() -> None:
    file = SpecFile("net.yaml", "net", reading.read(IDLE.encode(), "net.yaml"))
    checked = file.check()
    assert checked.diagnostics == ()
    assert sorted(str(note.render()) for note in checked.notes) == sorted(
        f"net.yaml:{place}: note: nothing depends on {what}"
        for place, what in {
            "3:8": "the variable `width`",
            "4:36": "`defaults.conv.bias`",
            "4:59": "`defaults.linear.bias`",
            "7:22": "the argument `stride` of the block `used`",
            "8:11": "the value `half` of the block `used`",
            "10:3": "the block `unused`",
            "12:11": "the value `channels`, which `let` gives",
            "13:27": "the column `kernel` of `for`",
            "14:11": "the value `double`, which `let` gives",
            "16:23": "the column `kernel` of `for`",
            "21:27": "the `init` of `conv.weight` at this node",
            "22:25": "`init.linear.weight`",
            "23:36": "`defaults.act`",
        }.items()
    )
    assert not [note for note in file.check([None]).notes if "defaults" in note.message]  # a variant may need them


def test_a_setting_to_no_effect_is_refused() -> None:
    file = SpecFile("net.yaml", "net", reading.read(IDLE.encode(), "net.yaml"))
    for setting, what in {
        "defaults.act=tanh": "`defaults.act`",
        "defaults.linear.bias=true": "`defaults.linear.bias`",
        "init.linear.weight=ones": "`init.linear.weight`",
        "blocks.unused.body=[tanh]": "the block `unused`",
    }.items():
        (error,) = file.with_settings(set=[setting]).check([None]).diagnostics
        assert error.message == f"{what} is set, but nothing depends on it", setting
    for setting in ("blocks.used.body=[tanh]", "init.conv.bias=ones"):
        assert file.with_settings(set=[setting]).check([None]).diagnostics == ()


def test_what_may_be_meant_otherwise_is_said() -> None:
    text = """archspec: 1
input: [32, 32, 3]
network:
  - conv: {out: 8, kernel: 1}
  - concat:
      - []
      - for: {kernel: [1, 3]}
        body: [conv: {out: 8, kernel: =kernel, padding: same}]
      - [{for: {kernel: [1, 3]}, body: [conv: {out: 8, kernel: =kernel, padding: same}]}]
  - for: {level: [c1, c2]}
    body: [save: level, relu, add: [[], load: =level]]
"""
    tree = reading.read(text.replace("load: =level", "load: level").encode(), "net.yaml")
    checked = SpecFile("net.yaml", "net", tree).check()
    assert checked.diagnostics == ()
    loop = "this loop is one branch, in which its passes follow one another, as in `- [{for: …, body: …}]`; "
    assert {note.render() for note in checked.notes} == {
        "net.yaml:2:8: note: the input has 32 channels: channels come first, as in [3, 32, 32]",
        f"net.yaml:7:9: note: {loop}`- concat: {{for: …, body: …}}` makes a branch of each pass",
        "net.yaml:11:18: note: `level` is the name itself here; the column's value is `=level`",
        "net.yaml:11:47: note: `level` is the name itself here; the column's value is `=level`",
    }


def noted(text: str) -> list[str]:
    checked = SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml")).check()
    assert checked.diagnostics == ()
    return [note.render() for note in checked.notes]


def test_layers_that_are_hardly_meant_are_named_where_they_first_stand() -> None:
    text = """archspec: 1
input: [1, 16, 16]
defaults: {norm: {batch_norm: {momentum: 0.99}}, act: relu}
blocks: {gate: {body: [conv: {out: 1, kernel: 1, dilation: 2}, softmax]}}
network:
  - layer_norm_2d
  - conv_norm_act: {out: 6, kernel: 3, stride: 4}
  - norm
  - gate
  - conv: {out: 6, kernel: 1, padding: 1}
  - batch_norm: 0.1
  - batch_norm: {momentum: 0}
  - scale: 0
  - reshape: [36, 6]
  - reshape: [6, 6, 6]
  - reshape: [36, 6]
  - reshape: [6, 36]
  - power: 0
"""
    assert noted(text) == [
        f"net.yaml:{place}: note: {said}"
        for place, said in [
            (
                "6:5",
                "`layer_norm_2d` normalises single values here: what it gives does not depend on what comes in",
            ),
            ("7:5", "the windows of `conv` (3×3) never see some positions: they are 4×4 apart, by `stride`"),
            ("7:5", "`momentum` is the weight of the newest batch, as in torch: TensorFlow's 0.99 is 0.01 here"),
            ("4:24", "`dilation` changes nothing: the kernel of `conv` is 1×1"),
            ("4:64", "`softmax` over a single value gives 1, whatever comes in: for one value, `sigmoid` may be meant"),
            ("10:5", "the outermost windows of `conv` (1×1) see nothing but `padding`"),
            ("11:5", "`eps`, which is added to the variance, is 0.1 here: a momentum is written `momentum: 0.1`"),
            (
                "12:5",
                "with a `momentum` of 0, the running statistics stay 0 and 1: evaluation would not normalise",
            ),
            ("13:5", "`scale` by 0 gives 0, whatever comes in"),
            ("14:5", f"{MIXES} (6×6×6): `tokens` makes a token of each position"),
            ("15:5", f"{MIXES} (36×6): `feature_map` makes a position of each token"),
            ("17:5", f"{MIXES} (36×6): `permute` swaps them"),
            ("18:5", "`power: 0` gives 1, whatever comes in"),
        ]
    ]


MIXES = "`reshape` keeps the order of values, and mixes the axes of its input here"


def test_what_is_usual_in_networks_is_not_noted() -> None:
    text = """archspec: 1
input: [16, 16, 16]
network:
  - conv: {out: 16, kernel: 1, stride: 2}
  - max_pool: {kernel: 1, stride: 2}
  - conv: {out: 16, kernel: 4, stride: 4, bias: true}
  - batch_norm: {momentum: 0.01, eps: 1e-3}
  - multiply: [[], [global_avg_pool, conv: {out: 16, kernel: 1}, softmax]]
  - reshape: [4, 4]
  - reshape: [2, 8]
  - flatten
  - linear: 1
"""
    assert noted(text) == []


ABSENT = """archspec: 1
input: [3, 8, 8]
defaults: {act: null}
vars: {mode: full, names: []}
network:
  - {tanh: , when: false}
  - {tanh: , when: =mode == 'half'}
  - {for: {i: "=range(5, 1)"}, body: [relu, {relu: , when: false}]}
  - {for: {i: =names}, body: [sigmoid]}
  - {relu: , repeat: 0}
  - {act: , when: true}
  - add: [relu, {when: true, body: []}, {when: =c_in > 100, body: [relu]}]
"""


def test_what_no_variant_has_is_noted() -> None:
    """What depends on a variable may be a switch, which `--set` turns on, unless there are variants."""
    always = [
        "net.yaml:6:14: note: nothing stands here{}: its `when` is false",
        "net.yaml:8:6: note: nothing stands here{}: its `for` makes no pass",
        "net.yaml:10:14: note: nothing stands here{}: its `repeat` is 0",
    ]
    assert noted(ABSENT) == [one.format("") for one in always]
    switch = "net.yaml:7:14: note: nothing stands here{}: its `when` is false"
    loop = "net.yaml:9:6: note: nothing stands here{}: its `for` makes no pass"
    narrow = "net.yaml:12:42: note: nothing stands here{}: its `when` is false"
    expected = [always[0], switch, always[1], loop, always[2], narrow]
    assert noted(f"{ABSENT}variants: {{small: }}") == [one.format(" in any variant") for one in expected]
    expected = [always[0], always[1], loop, always[2], narrow]
    some = f"{ABSENT}variants: {{small: {{vars: {{mode: half}}}}}}"
    assert noted(some) == [one.format(" in any variant") for one in expected]


def test_parts_that_are_named_as_branches_are_noted() -> None:
    text = """archspec: 1
input: [3, 8, 8]
network: {branch1: [relu], branch2: [tanh]}
"""
    said = "these parts follow one another; for branches, name the merge: `add: {branch1: …, branch2: …}`, or `concat`"
    assert noted(text) == [f"net.yaml:3:11: note: {said}"]
    loads = text.replace("[relu]", "[save: a, relu, save: b]").replace("[tanh]", "[load: a, add: [[], load: b]]")
    assert noted(loads) == []


def test_an_input_that_only_looks_like_images_is_noted() -> None:
    text = "archspec: 1\ninput: {}\nnetwork: [relu]\n"
    first = "channels come first, as in"
    assert noted(text.replace("{}", "[480, 640, 3]")) == [
        f"net.yaml:2:8: note: the input has 480 channels: {first} [3, 480, 640]"
    ]
    batch = "a volume has its channels first, and of images no batch is written, as in [3, 32, 32]"
    assert noted(text.replace("{}", "[8, 3, 32, 32]")) == [
        f"net.yaml:2:8: note: the input has 8 channels of 3×32×32: {batch}"
    ]
    assert noted(text.replace("{}", "[40, 100, 1]")) == noted(text.replace("{}", "[3, 16, 112, 112]")) == []


def test_tokens_and_sequences_with_channels_first_are_told_apart() -> None:
    text = """archspec: 1
input: [3, 32, 32]
network:
  - conv: {out: 8, kernel: 8, stride: 8}
  - tokens
  - relu
  - conv_1d: {out: 16, kernel: 3}
  - add: [[], relu]
  - linear: 5
  - permute: [1, 0]
  - conv_1d: {out: 8, kernel: 3}
  - permute: [1, 0]
  - linear: 5
  - lstm: 8
  - token
"""
    swapped = "`permute: [1, 0]` swaps the axes"
    assert noted(text) == [
        f"net.yaml:7:5: note: `conv_1d` takes channels first, but `tokens` (net.yaml:5:5) gives tokens: {swapped}",
        f"net.yaml:9:5: note: `linear` works on the last axis, but `conv_1d` (net.yaml:7:5) gives channels first: {swapped}",
        "net.yaml:15:5: note: token 0 of a `lstm` has seen no other token: `token: 13` is the last, which has seen all",
    ]
