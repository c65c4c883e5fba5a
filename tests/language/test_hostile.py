"""Specs made to break things: each is refused at once, in words, and none passes check to fail later."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from conftest import ROOT

from archspec.foundation import reading
from archspec.foundation.errors import Fault, SpecError, UsageError, escape
from archspec.spec import Checked, SpecFile, from_dict, load

HEAD = "archspec: 1\ninput: [3, 8, 8]\n"


def checked(text: str) -> Checked:
    return SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml")).check()


def codes(text: str) -> list[str]:
    """The codes of all that is wrong, found in no time."""
    began = time.process_time()
    try:
        found = [d.code for d in checked(text).diagnostics]
    except Fault as fault:
        found = [fault.code]
    assert time.process_time() - began < 20  # minutes or memory, if nothing bounded it
    return found


def doubling(levels: int, call: str) -> str:
    blocks = ["  b0: {args: {x: 1}, body: []}"]
    blocks += [f"  b{i}: {{args: {{x: 1}}, body: [{call.format(i=i - 1)}]}}" for i in range(1, levels)]
    return "blocks:\n" + "\n".join(blocks) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("network: [{uses: conv}]\n", ["name-unknown"]),
        ("network: [{add: [{conv: {out: 3, kernel: 1}, name: a}, {relu: , name: a}]}]\n", ["duplicate-name"]),
        ("network: [{conv: {out: 1, kernel: 1}}]\ninit: {conv: {weight: {uniform: {a: 2}}}}\n", ["out-of-range"]),
        ("network: [{conv: {out: 1, kernel: 1}}]\ninit: {conv: {weight: {trunc_normal: {a: 3, b: 1}}}}\n", ["out-of-range"]),
        ("network: [{conv: {out: 1, kernel: 1}}]\ninit: {conv: {weight: {xavier_normal: {gain: -1}}}}\n", ["out-of-range"]),
        (
            "blocks: {b0: {body: []}, b1: {body: [{b0: , repeat: 9999}]}, b2: {body: [{b1: , repeat: 9999}]}}\n"
            "network: [b2]\n",
            ["too-large"],
        ),
        ("network: [{conv: {out: 4611686018427387904, kernel: 1}}]\n", ["out-of-range"]),
        ("network: [{conv: {out: 1, kernel: 1, stride: 9223372036854775808}}]\n", ["out-of-range"]),
        ("network: [{conv: {out: 2147483647, kernel: 1000}}]\n", ["input-shape"]),
        ("network: [{conv: {out: 2147483647, kernel: 1000, padding: 1000}}]\n", ["too-large"]),
        ("network: " + "[" * 30 + "relu" + "]" * 30 + "\n", ["too-large"]),
        ("network:\n  - for: {a: =range(999)}\n    body: [{for: {b: =range(999)}, body: [{relu: , when: false}]}]\n", ["too-large"]),
        ("network: [{repeat: 9999, for: {b: =range(999)}, body: [relu]}]\n", ["too-large"]),
        (doubling(25, "{{b{i}: =x * 2 % 10007}}, {{b{i}: =(x * 2 + 1) % 10007}}") + "network: [b24]\n", ["too-large"]),
        (doubling(25, "b{i}, b{i}") + "network: [{linear: 3}, b24]\n", ["input-shape"]),
        ("network:\n" + "".join(f"  - foo{i}\n" for i in range(4000)), ["name-unknown"] * 50 + ["too-large"]),
        (
            "vars:\n" + "".join(f"  variable{i}: 1\n" for i in range(1000))
            + "network:\n" + "".join(f"  - dropout: =varable{i}\n" for i in range(1000)),
            ["variable-unknown"] * 50 + ["too-large"],
        ),
        ("vars:\n" + "".join(f"  v{i}: =range(999)\n" for i in range(2000)) + "network: [relu]\n", ["too-large"] * 50 + ["too-large"]),
        ("vars:\n  v0: []\n" + "".join(f"  v{i}: =[v{i - 1}]\n" for i in range(1, 1500)) + "network: [relu]\n", ["formula-value"]),
        (
            "vars:\n  a0: &a0 [[[[[[[[[[1]]]]]]]]]]\n"
            + "".join(f"  a{i}: &a{i} [[[[[[[[[[*a{i - 1}]]]]]]]]]]\n" for i in range(1, 20))
            + "network: [relu]\n",
            ["too-large"],
        ),
        ("vars: {x: 0x" + "f" * 40 + "}\nnetwork: [relu]\n", ["out-of-range"]),
        ("vars: {x: =" + "~" * 900 + "1}\nnetwork: [relu]\n", ["formula-syntax"]),
        *[
            (f"blocks: {{b: {{args: {{w: {definition}}}, body: [{{dropout: =w}}]}}}}\nnetwork: [{{b: {{w: 0.5}}}}]\n", [code])
            for definition, code in [
                ("{type: [a]}", "type-mismatch"),
                ("{type: {}}", "type-mismatch"),
                ("{type: integer, default: 3, minimum: a}", "type-mismatch"),
                ("{type: integer, minimum: =3}", "type-mismatch"),
                ("{type: string, enum: 5, default: a}", "type-mismatch"),
                ("{default: {conv: {out: 3, kernel: 1}}}", "key-missing"),
                ("{type: integer, default: a}", "type-mismatch"),
                ("{type: integer, minimum: 3, default: 1}", "out-of-range"),
            ]
        ],
        ("blocks: {b: {let: {x: =y + 1}, body: [{dropout: =x}]}}\nnetwork: [b]\n", ["variable-unknown"]),
        ("defaults: {conv: {kernel: a}}\nnetwork: [{conv: {out: 1}}]\n", ["type-mismatch"]),
        ("defaults: {act: [relu]}\nnetwork: [act]\n", ["type-mismatch"]),
        ("defaults: {act: =x}\nvars: {x: act}\nnetwork: [act]\n", ["formula-value"]),
        ("defaults: {act: relu}\nvars: {x: act}\nnetwork: [{use: =x, with: {foo: 3}}]\n", ["argument-unknown"]),
        (
            "defaults: {act: relu, norm: batch_norm}\nnetwork: [{conv_norm_act: {out: 2, norm: {norm: {eps: 5}}}}]\n",
            ["argument-unknown"],
        ),
        ("defaults: {act: relu}\nnetwork: [{conv_norm_act: {out: 2, norm: {batch_norm: {epz: 1}}}}]\n", ["argument-unknown"]),
        ("defaults: {act: relu}\nnetwork: [{conv_norm_act: {out: 2, norm: [relu]}}]\n", ["type-mismatch"]),
        ("blocks: {b: {args: {w: {type: integer}, v: {type: integer, default: =w}}, body: []}}\nnetwork: [b]\n", ["argument-missing"]),
        ("network: {add: [relu, tanh], head: [flatten]}\n", ["mapping-for-list"]),
        ("network: {add: {a: relu, b: tanh}, head: [flatten]}\n", ["mapping-for-list"]),
        ("network: {stem: {a: relu, b: tanh, when: false}}\n", ["key-unknown"]),
        ("network: [relu]\ntrain: {optimizer: {name: sgd, lr: 0.1, nesterov: true}}\n", ["key-missing"]),
        ("network: [relu]\ntrain: {optimizer: {name: sgd, lr: 0.1, nesterov: true, momentum: 0}}\n", ["out-of-range"]),
        ("network: [relu]\ntrain: {validation: 0.0}\n", ["out-of-range"]),
        ("network: [relu]\ntrain: {validation: -1}\n", ["out-of-range"]),
        ("network: [relu]\ntrain: {validation: 1.0}\n", ["out-of-range"]),
        ("network: [conv: {out: 8, kernel: 3}]\nexpect: {gmacs: 4.4e-6}\n", ["expect-unmet"]),
        ("vars: {a: =c_in}\nnetwork: [relu]\n", ["variable-unknown"]),
        ("name: \"a\\0b\"\nnetwork: [relu]\n", ["out-of-range"]),
        ("network:\n" + "".join(f"- save: a{i}\n- load: a{i}\n" for i in range(24000)), []),
        ("network:\n" + "".join(f"- save: a{i}\n" for i in range(20000)) + "- load: b\n", ["tensor-unknown"]),
        (
            "network:\n" + "".join(f"- save: a{i}\n- load: a{i}\n" for i in range(8000))
            + "- for: {i: =range(999)}\n  body: [{load: b}]\n",
            ["tensor-unknown"],
        ),
        (  # an error in each of 18,000 passes, in a file of many lines
            "network:\n  for: {i: =range(999)}\n  body: [{for: {j: =range(18)}, body: [{conv: {out: =0 * i, kernel: 1}}]}]\n"
            + "\n" * 900_000,
            ["out-of-range"],
        ),
        ("network: [{window_attention: {heads: 1, window: 500}}]\n", ["out-of-range"]),
        (
            "network: {for: {i: =range(900)}, body: [{relu: , repeat: 9}]}\nvariants:\n"
            + "".join(f"  v{i}:\n" for i in range(20000)),
            ["too-large"],
        ),
        ("network: {for: {i: [1, 2], j: {relu: }}, body: [relu]}\n", ["type-mismatch"]),
        ("# a\u0085b: 1\nnetwork: [relu]\n", ["value-ambiguous"]),
    ],
)  # fmt: skip
def test_refused_at_once(text: str, expected: list[str]) -> None:
    assert codes(HEAD + text) == expected


def test_an_argument_of_an_argument_is_shown_where_it_stands() -> None:
    line = "  - conv_norm_act: {out: 2, norm: {batch_norm: {epz: 1}}}"
    (found,) = checked(HEAD + f"defaults: {{act: relu}}\nnetwork:\n{line}\n").diagnostics
    assert (found.mark.line, found.mark.column, found.help) == (5, line.index("epz") + 1, "did you mean `eps`?")


def test_formulas_in_the_defaults_of_block_arguments_are_computed() -> None:
    blocks = {
        "b": {
            "args": {
                "w": 4,
                "kernel": {"type": "list", "default": ["=w - 1", 1]},
                "end": {"type": "node", "default": {"conv": {"out": "=w", "kernel": 1}}},
            },
            "body": [{"conv": {"out": "=w", "kernel": "=kernel"}}, {"use": "=end"}],
        }
    }
    spec = from_dict({"archspec": 1, "input": [3, 8, 8], "blocks": blocks, "network": ["b"]})
    assert spec.plan.output == (4, 6, 8)


def test_a_branch_that_is_no_layer_passes_its_input_on() -> None:
    for shortcut, channels in ((["act"], 6), ("act", 6), ({"when": False, "body": "act"}, 3)):
        spec = from_dict(
            {
                "archspec": 1,
                "input": [3, 8, 8],
                "defaults": {"act": "none"},
                "network": [{"concat": {"main": "tanh", "shortcut": shortcut}}],
            }
        )
        assert spec.plan.output == (channels, 8, 8)
        assert tuple(spec.build()(torch.zeros(1, 3, 8, 8)).shape) == (1, channels, 8, 8)


def test_a_broken_outline_is_not_listed_as_sound() -> None:
    assert checked(HEAD + "foo: 1\nnetwork: [relu]\n").specs == ()


@pytest.mark.parametrize("name", ["getattr", "input", "mul", "max", "branch_1", "torch", "x", "print"])
def test_a_branch_may_have_any_name_that_check_lets_pass(name: str) -> None:
    spec = from_dict(
        {
            "archspec": 1,
            "input": [3, 8, 8],
            "network": {"add": {name: ["tanh"], "other": ["relu"], "branch_0": []}},
        }
    )
    images = torch.randn(2, 3, 8, 8)
    module = spec.build()
    for one in (module, pickle.loads(pickle.dumps(module))):
        assert torch.equal(one(images), images.tanh() + images.relu() + images)


def test_no_part_is_called_self() -> None:
    # torch.fx would write `self = self.self(input)` when it unpickles the network
    network = "[{add: {self: [tanh], other: [relu]}}, {aux: {name: self, weight: 1, body: relu}}, {tanh: , name: self}]"
    assert codes(f"{HEAD}network: {network}\n") == ["name-reserved"] * 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [
        "name=[1]",
        "description.x=[1]",
        "expect.params=1",
        "width={a: 1}",
        "vars.width.b.c=1",
        "a." * 20_000 + "b=1",
        "=3",
        "x=\udcff",
    ],
)
def test_settings_are_held_to_the_language(run: Callable, tmp_path: Path, setting: str) -> None:
    (tmp_path / "net.yaml").write_text(HEAD + "vars: {width: 8}\nnetwork: [{conv: {out: =width, kernel: 1}}]\n")
    done = run("check", "net.yaml", "--set", setting)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error[" in done.stderr


def test_a_terminal_without_unicode_is_served(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "archspec", "check", "digits"],
        cwd=tmp_path,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii", "PATH": "", "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"308,074 parameters" in done.stdout


def test_a_network_beyond_this_machines_memory_is_refused_before_it_is_built(run: Callable, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(HEAD + "network: [{conv: {out: 100000, kernel: 1000, padding: 999}}]\n")
    assert run("check", "net.yaml").returncode == 0
    done = run("build", "net.yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("error: net needs 1,606 GB for its 300,000,100,000 parameters")
    assert done.stdout == ""
    said = json.loads(run("build", "net.yaml", "--format", "json").stdout)
    assert said["results"] == []
    assert [error["message"] for error in said["errors"]] == [done.stderr.removeprefix("error: ").rstrip()]


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from paths(value, (*path, key))


def at(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        data = data[key]
    return data


WORDS = [
    "save",
    "load",
    "output",
    "aux",
    "init",
    "recompute",
    "share",
    "when",
    "repeat",
    "name",
    "extends",
    "use",
    "for",
    "body",
]
ODD: list[Any] = [
    None,
    True,
    -1,
    0.5,
    "odd",
    "x",
    [],
    {},
    "=c_in",
    "=1 / 0",
    "=index",
    "=[c_in]",
    2**40,
    ["relu"],
    "act",
]
ODD += [{"save": "x"}, {"load": "x"}, {"output": "x"}, {"aux": {"name": "x", "weight": 1, "body": ["flatten"]}}]
ODD += [{"share": "x"}, {"conv": {"out": "=c_in", "kernel": 1}, "share": "x"}, {"relu": None, "share": "x"}]
ODD += [{"relu": None, "recompute": True}, {"conv": {"out": 2, "kernel": 1}, "init": {"conv": {"weight": 0}}}]


def mutated(data: Any, random: Random) -> Any:
    """A copy of which one or two places are replaced, removed, doubled, moved or given another key."""
    data = copy.deepcopy(data)
    for _ in range(random.choice([1, 1, 2])):
        places = [path for path in paths(data) if path and path[0] in ("network", "blocks", "init", "defaults")]
        *path, key = random.choice(places)
        parent = at(data, tuple(path))
        odd = copy.deepcopy(random.choice([random.choice(ODD), at(data, random.choice(places))]))
        change = random.choice(["replace", "remove", "rename", "add"])
        if change == "replace":
            parent[key] = odd
        elif change == "remove":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, odd if change == "add" else parent[key])
        else:
            parent[random.choice(WORDS)] = odd if change == "add" else parent.pop(key)
    return data


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "imagenet/fpn", "imagenet/googlenet", "imagenet/vit", "imagenet/swin"])
def test_a_spec_that_is_changed_at_random_is_refused_in_words_or_works(name: str) -> None:
    random = Random(name)
    sound = load(name).resolved
    sound.pop("expect", None)
    made = 0
    for _ in range(120):
        data = mutated(sound, random)
        try:
            spec = from_dict(data)
        except SpecError as error:
            assert all(d.mark or d.code == "too-large" for d in error.diagnostics), data
            continue
        made += 1
        if made % 5:
            continue
        images = torch.empty(2, *spec.plan.input, device="meta")
        for aux in (True, False):
            module = spec.build("meta", aux=aux)
            sides = {name: side.shape for name, side in spec.plan.aux.items() if aux}
            for training in (True, False):
                result = module.train(training)(images)
                output, named = result if isinstance(result, tuple) else (result, {})
                wanted = {"": spec.plan.output, **spec.plan.outputs, **(sides if training else {})}
                assert {key: tuple(one.shape[1:]) for key, one in {"": output, **named}.items()} == wanted, data
    assert made > 5


def test_pickled_errors_say_the_same() -> None:
    with pytest.raises(Exception, match="variant") as caught:
        load("resnet", "none")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


# --- what could command a terminal -----------------------------------------------------------------------------------


def test_control_characters_in_a_spec_do_not_reach_the_terminal() -> None:
    text = 'input: [4]\nnetwork:\n  - "\\e[31mrelu"\n  - {linear: {out: 3, "\\x9b1m": 4}}\n  - save: "\\x07a"\n'
    found = checked("archspec: 1\n" + text).diagnostics
    said = "\n".join(one.render() for one in found)
    assert len(found) == 3
    assert "`\\x1b[31mrelu`" in said
    assert "`\\x9b1m`" in said
    assert "`\\x07a`" in said
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", said + str(SpecError(found)))
    assert not re.search(r"[\x1b\x9b]", str(UsageError("there is no `\x1b[1m\x9b`")))


@pytest.mark.parametrize("name", ["\\x1b[1mX", "\\x9b1mX", "X\\x7f"])
def test_a_network_has_no_name_that_commands_a_terminal(name: str) -> None:
    (error,) = checked(f'archspec: 1\nname: "{name}"\ninput: [4]\nnetwork: relu\n').diagnostics
    assert error.message.startswith("`name` must be a line of text, not the text ")


# --- what would be taken without effect ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "what"),
    [
        ("{relu: {}, recompute: true}", "the network"),
        ("{use: whole, recompute: =1 == 1}", "the network"),
        ("whole", "the network"),
        ("[{aux: {name: side, weight: 1, body: {relu: {}, recompute: true}}}]", "the auxiliary classifier `side`"),
    ],
)
def test_a_network_is_not_recomputed_as_a_whole(network: str, what: str) -> None:
    block = "blocks: {whole: {doc: D, body: {relu: {}, recompute: true}}}\n"
    (error,) = checked(HEAD + block + f"network: {network}\n").diagnostics
    assert error.message.startswith(f"`recompute` has no meaning for the whole of {what}: ")


def test_a_network_that_asks_for_no_recomputation_as_a_whole_passes() -> None:
    assert codes(HEAD + "network: {relu: {}, recompute: false}\n") == []
    assert codes(HEAD + "network: [{relu: {}, recompute: true}]\n") == []


def test_neighbouring_channels_are_not_more_than_memory_holds() -> None:
    assert codes(HEAD + "network: [{local_response_norm: 1000000000}]\n") == ["out-of-range"]


@pytest.mark.parametrize(
    ("assignment", "where"),
    [
        ("network.stem=relu", "`network` is a list"),
        ("input.y=3", "`input` is a list"),
        ("sizes.first=3", None),
        ("vars.sizes.first=3", "`vars.sizes` is a list"),
        ("vars.width.more=3", "`vars.width` is `8`"),
        ("blocks.b.body.act=relu", "`blocks.b.body` is a list"),
        ("blocks.b.args.w.type=number", "`blocks.b.args.w` is `1`"),
        ("train.epochs.more=3", "`train.epochs` is `3`"),
    ],
)
def test_a_setting_leads_through_mappings_alone(assignment: str, where: str | None) -> None:
    text = "vars: {width: 8, sizes: [1]}\nblocks: {b: {args: {w: 1}, body: [relu]}}\ntrain: {epochs: 3}\nnetwork: [b, relu]\n"
    file = SpecFile("net.yaml", "net", reading.read((HEAD + text).encode(), "net.yaml"))
    (error,) = file.with_settings(set=[assignment]).check().diagnostics
    if where is None:
        assert error.message == "`sizes` is no section of a spec that can be set"
        return
    path = where.split("`")[1]
    assert error.message == f"a dotted path leads through mappings, but {where}"
    assert error.help == f"set all of it: `--set {path}=…`"


def test_a_setting_may_take_another_choice_and_fill_what_is_empty() -> None:
    text = "defaults: {act: relu}\ntrain: {optimizer: adamw, schedule: null}\nnetwork: {a: act, b: relu, c: {conv: {out: 1, kernel: 1}}}\n"
    file = SpecFile("net.yaml", "net", reading.read((HEAD + text).encode(), "net.yaml"))
    settings = ["defaults.act.elu=1", "train.optimizer.lr=0.5", "network.b=tanh", "init.conv.weight=0"]
    spec = file.with_settings(set=settings).spec(None)
    assert [placed.layer.primitive for placed in spec.plan.layers] == ["elu", "tanh", "conv"]
    assert spec.resolved["train"]["optimizer"] == {"name": "adamw", "lr": 0.5}


def test_a_check_that_finds_nothing_sound_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.spec.elaborate", lambda *_: None)  # a fault of ours, which reports nothing
    (error,) = checked(HEAD + "network: [relu]\n").diagnostics
    assert error.message == "the network is not valid, but archspec cannot say why"


def test_a_setting_changes_nothing_but_what_its_path_leads_to() -> None:
    text = "blocks: {b: {args: {w: 1}, body: {first: relu, last: [tanh]}}}\nnetwork: {a: b, c: {d: relu, e: relu}}\n"
    file = SpecFile("net.yaml", "net", reading.read((HEAD + text).encode(), "net.yaml"))
    spec = file.with_settings(set=["network.c.d=[gelu]", "blocks.b.body.first=elu"]).spec(None)
    assert [placed.layer.primitive for placed in spec.plan.layers] == ["elu", "tanh", "gelu", "relu"]
    whole = file.with_settings(set=["network={c: tanh, d: b}", "blocks.b={body: []}"]).spec(None)
    assert [placed.layer.primitive for placed in whole.plan.layers] == ["tanh"]


# --- what would take minutes or all memory ---------------------------------------------------------------------------


def rows(count: int, text: str) -> str:
    return "".join(text.replace("#", str(i)) for i in range(count))


EXPLODING = "  a1: [{v: =a0}]\n" + "".join(f"  a{i}: [{', '.join([f'=a{i - 1}'] * 400)}]\n" for i in range(2, 9))
MANY_ARGS = "blocks:\n  b:\n    args:\n" + rows(20000, "      arg#: 1\n") + "    body: relu\n"
HEAVY = {
    "a mapping counts through": (
        "vars: {a0: [1], a1: [{v: =a0*1000}], a2: [{v: =a1*1000}], a3: [{v: =a2*1000}]}\nnetwork: relu\n",
        "`=a1*1000`: the result has more than 1000 items",
    ),
    "lists of lists": (
        f"vars:\n  a0: [1]\n{EXPLODING}network: relu\n",
        "the value holds more than 100,000 items, counted through",
    ),
    "lists in a let": (
        "blocks:\n  b:\n    let:\n      a0: [1]\n" + EXPLODING.replace("  a", "      a") + "    body: relu\nnetwork: b\n",
        "the value holds more than 100,000 items, counted through",
    ),
    "a long formula in a loop": (
        f"network: [{{dropout: '=0*sum([{', '.join(['len(range(999))'] * 50)}])', repeat: 1000}}]\n",
        "the formulas take more than 1,000,000 operations together",
    ),
    "long lists compared": (
        f"vars: {{x: =range(1000)}}\nnetwork: [{{dropout: '=0*len([x==x{', x==x' * 150}])', repeat: 1000}}]\n",
        "the formulas take more than 1,000,000 operations together",
    ),
    "a long list for an argument": (
        "vars: {x: [" + "1," * 90000 + "]}\nnetwork: [{conv: {out: =x, kernel: 3}, repeat: 10000}]\n",
        "`out` of `conv` must be an integer ≥ 1, not a list of 90000 items",
    ),
    "many variables": ("vars:\n" + rows(45000, "  v#: 1\n") + "network: [{dropout: =v9*0, repeat: 10000}]\n", None),
    "many variables and loops": (
        "vars:\n" + rows(30000, "  v#: 1\n") + "network:\n" + rows(10000, "- {relu: , repeat: 1}\n"),
        None,
    ),
    "many misspelt variables": (
        "vars:\n" + rows(40000, "  variable#: 1\n") + "network:\n" + rows(10000, "- dropout: =varable#\n"),
        "there is no variable `varable0` here",
    ),
    "many arguments": (
        MANY_ARGS + "network: [{b: {arg3: =index}, repeat: 10000}]\n",
        "the network takes more than 50,000 steps to elaborate",
    ),
    "an unknown argument in a loop": (
        MANY_ARGS + "vars: {x: [{b: {agr3: 1}}]}\nnetwork: [{use: '=x[0]', repeat: 10000}]\n",
        "the network takes more than 50,000 steps to elaborate",
    ),
    "many variants": (
        "network: relu\nvariants:\n" + rows(45000, "  v#:\n"),
        "the variants take more than 200,000 steps together",
    ),
    "a body behind a when": (
        "blocks:\n  b:\n    args: {x: 1}\n    body:\n    - {relu: , when: false}\n    - when: false\n      add:\n"
        f"        a:\n{rows(30000, '        - relu' + chr(10))}        b: []\nnetwork: [{{b: {{x: =index}}, repeat: 10000}}]\n",
        None,
    ),
    "a long text in an error": (
        f"network:\n- &a '{'x' * 800000}'\n" + rows(1000, "- *a\n"),
        f"there is no primitive or block `{'x' * 1967}…",
    ),
    "a long text on the way to an error": (
        f"blocks: {{b: {{args: {{x: {{type: string}}, i: 1}}, body: {{linear: 3}}}}}}\nnetwork:\n- b: {{x: &a '{'x' * 800000}'}}\n"
        + rows(1000, "- b: {x: *a, i: #}\n"),
        "`linear` needs a vector or tokens, but its input is 3×8×8",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEAVY)
def test_nothing_takes_long_or_much_memory(kind: str, tmp_path: Path) -> None:
    text, says = HEAVY[kind]
    (tmp_path / "net.yaml").write_text(HEAD + text)
    code = """
import resource
from archspec.spec import open_file
checked = open_file("net.yaml")[0].check()
shown = [one.render() for one in checked.diagnostics]
assert all(len(one) < 10_000 for one in shown)
(peak,) = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, int(peak) // 1024, checked.diagnostics[0].message if checked.diagnostics else "")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, megabytes, message = done.stdout.rstrip("\n").split(" ", 2)
    assert message.strip() == (says or "")
    assert float(seconds) < 6  # some three times what it takes; minutes, if nothing bounded it
    assert int(megabytes) < 400


def test_what_turns_the_direction_of_a_line_is_shown_as_it_is_written() -> None:
    assert escape("abc\u202edef\u2066\u2069") == "abc\\u202edef\\u2066\\u2069"
    assert escape("שלום عربي 名前") == "שלום عربي 名前"
