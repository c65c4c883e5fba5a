"""Plans that share what other values of variables leave as it is, against plans that are elaborated anew."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

import archspec
from archspec.foundation import reading
from archspec.foundation.errors import SpecError
from archspec.language.finder import bundled
from archspec.plan import programs
from archspec.plan.calls import CallElaborator
from archspec.plan.programs import run_program
from archspec.prepared import PreparedFile
from archspec.spec import Checked, Spec, SpecFile, open_file

sys.path.insert(0, str(Path(__file__).parent.parent / "language"))

from mutants import Writer


def changed(value: Any, random: Random) -> Any:
    """Another value for a variable: mostly one of its kind, which a network may or may not have."""
    if random.random() < 0.05:
        return random.choice([None, "word", [1, 2], 0.5, True, -1, "=1 + 1", {"a": 1}])
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice([value, value + 1, 2 * value, max(1, value // 2), value + 8, 0])
    if isinstance(value, float):
        return random.choice([value, value / 2, 1.0, 1])
    if isinstance(value, list) and value:
        return [changed(one, random) if random.random() < 0.5 else one for one in value]
    return random.choice(["relu", "silu", "basic", "none", value])


def outcome(file: SpecFile, variant: str | None) -> Spec | list[str]:
    try:
        return file.spec(variant)
    except SpecError as error:
        return [one.render() for one in error.diagnostics]


def hold(file: SpecFile, variant: str | None, count: int, random: Random) -> int:
    """Hold as many settings to what a file that keeps nothing says of them; how many were sound."""
    known = dict(file.spec(variant).plan.vars)
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}
    sound = 0
    for _ in range(count if values else 0):
        names = random.sample(sorted(values), random.randint(1, min(2, len(values))))
        varied = file.with_settings({name: changed(values[name], random) for name in names})
        kept, fresh = outcome(varied, variant), outcome(_Fresh(**vars(varied)), variant)
        if isinstance(fresh, Spec):
            assert isinstance(kept, Spec)
            assert kept.plan == fresh.plan
            assert kept.plan.graph == fresh.plan.graph
            assert (kept.resolved, kept.recipe, kept.notes) == (fresh.resolved, fresh.recipe, fresh.notes)
            assert kept.unused_vars == fresh.unused_vars
            sound += 1
        else:
            assert kept == fresh
    return sound


@pytest.fixture
def programs_at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Programs are used from the first time on; gives which of them made something."""
    made: list[bool] = []

    def run(*given: Any) -> Any:
        result = run_program(*given)
        made.append(result is not None)
        return result

    monkeypatch.setattr(programs, "MIN_USES", 0)
    monkeypatch.setattr(programs, "run_program", run)
    return made


class _Fresh(SpecFile):
    """A file that keeps nothing."""

    def _from_prepared(self, variant: str | None) -> None:
        return None


def test_bundled_specs_with_other_values_are_what_they_are_when_elaborated_anew() -> None:
    random = Random(1)
    sound = sum(hold(open_file(name)[0], None, 2, random) for name in random.sample(bundled(), 8))
    assert sound > 5


def test_random_specs_with_other_values_are_what_they_are_when_elaborated_anew() -> None:
    random = Random(2)
    sound = 0
    for _ in range(15):
        data = yaml.safe_load(Writer(random).spec())
        # variables of which layers depend everywhere, in a part, and through one another
        data["vars"] |= {"width": 4, "twice": "=2 * width", "slope": 0.1, "count": 2}
        data["defaults"]["act"] = {"leaky_relu": "=slope"}
        conv = {"conv": {"out": "=twice", "kernel": 1}}
        part = {"for": {"out": "=[width, twice]"}, "body": [{"conv": {"out": "=out", "kernel": 1}, "repeat": "=count"}]}
        network = data["network"]
        nodes = network if isinstance(network, list) else network["stem"]
        nodes[:0] = [conv, part, {"conv": {"out": 4, "kernel": 1}}]
        text = yaml.safe_dump(data, sort_keys=False)
        file = SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml"))
        sound += hold(file, None, 6, random)
    assert sound > 30


def test_programs_make_what_elaboration_makes_of_bundled_specs(programs_at_once: list[bool]) -> None:
    random = Random(3)
    sound = sum(hold(open_file(name)[0], None, 3, random) for name in random.sample(bundled(), 8))
    assert sound > 5
    assert sum(programs_at_once) > 30


def test_programs_make_what_elaboration_makes_of_random_specs(programs_at_once: list[bool]) -> None:
    random = Random(4)
    sound = 0
    for _ in range(15):
        data = yaml.safe_load(Writer(random).spec())
        data["vars"] |= {"width": 4, "count": 2}
        network = data["network"]
        nodes = network if isinstance(network, list) else network["stem"]
        nodes[:0] = [{"conv": {"out": "=width", "kernel": 1}, "repeat": "=count"}, {"conv": {"out": 4, "kernel": 1}}]
        text = yaml.safe_dump(data, sort_keys=False)
        sound += hold(SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml")), None, 4, random)
    assert sound > 30
    assert sum(programs_at_once) > 200


EVERYTHING = """\
archspec: 1
input: [4, 16, 16]
vars: {width: 8, depth: 2, rate: 0.5, wide: [8, 16], deep: true, word: gelu, slope: 0.1, heads: 2}
defaults: {act: {leaky_relu: =slope}, norm: batch_norm}
init: {conv: {weight: kaiming_normal}, norm: {weight: 1}}
blocks:
  own:
    args:
      out: {type: integer, minimum: 1}
      stride: {type: integer, minimum: 1, default: =1 if out > 12 else 2}
      act: {type: node, default: act}
      norm: {type: node, default: {group_norm: 2}}
    let: {inner: =out * 2, wider: =inner > c_in}
    body:
      - conv: {out: =inner, kernel: 3, stride: =stride, padding: 1}
      - use: =norm
      - use: =act
        when: =wider
      - let: {channels: =c_in}
      - conv: {out: =channels // 2, kernel: 1}
        when: =not wider or h_in > 2
      - split_up
  split_up:
    body:
      concat: {a: [relu], b: [{conv: {out: =c_in, kernel: 1}}]}
      split: equal
  again:
    args: {level: {type: integer, minimum: 0}, out: 8}
    body:
      - conv: {out: =out + level, kernel: 1}
      - again: {level: =level - 1, out: =out}
        when: =level > 0
network:
  - conv_norm_act: {out: =width, kernel: 3}
    repeat: =depth
  - for: {out: =wide, i: =range(len(wide))}
    body: [{own: {out: =out, act: =word}}, {dropout: =rate * i, when: =first or deep}]
    recompute: =deep
  - for: {as: [kernel, out, act], rows: [[1, 8, relu], [3, =width, none]]}
    body: {conv_norm_act: {out: =out, kernel: =kernel, act: =act}}
  - {again: {level: =depth, out: =width}}
  - concat:
      for: {k: "=[1, 3, 2 * depth + 1]"}
      body: {conv_norm_act: {out: =width, kernel: =k}}
  - add:
      same: []
      other: [{save: x}, {conv: {out: =c_in, kernel: 1}}, {add: {a: {load: x}, b: relu}}]
  - {own: {out: =width * 2}, when: =deep}
  - tokens
  - attend:
      q: {linear: =width * heads}
      k: {linear: =width * heads}
      v: {linear: =width}
    heads: =heads
  - linear: =width
    init: {linear: {weight: {normal: {std: =rate / 10}}}}
"""


def test_programs_make_what_elaboration_makes_of_every_form(programs_at_once: list[bool]) -> None:
    file = SpecFile("net.yaml", "net", reading.read(EVERYTHING.encode(), "net.yaml"))
    assert hold(file, None, 40, Random(5)) > 12
    assert sum(programs_at_once) > 200


def test_a_width_that_was_never_seen_comes_of_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    net = spec("vars: {width: 4}\ndefaults: {act: relu, norm: batch_norm}\nnetwork:\n" + WIDE)
    for width in range(1, programs.MIN_USES + 2):
        net.replace({"width": width})
    opened = []
    monkeypatch.setattr(CallElaborator, "block", lambda self, *given: opened.append(given))
    assert net.replace({"width": 50}).plan.output == (100, 4, 4)
    assert opened == []


WIDE = """\
  - {conv_norm_act: =width}
  - for: {wide: "=[width, 2 * width]", stride: [1, 2]}
    body: {resnet: {width: =wide, stride: =stride if first else 1}, repeat: 3}
"""


class _Alone(SpecFile):
    """A file whose variants share nothing."""

    def _gather(self, variants: Any, alike: Any = None) -> Checked:
        return super()._gather(variants)


def hold_variants(file: SpecFile) -> bool:
    """Hold a file's variants, checked together, to what each is by itself; whether they are sound."""
    together, alone = file.check(), _Alone(**vars(file)).check()
    assert [one.render() for one in together.diagnostics] == [one.render() for one in alone.diagnostics]
    assert together.notes == alone.notes
    assert len(together.specs) == len(alone.specs)
    for one, other in zip(together.specs, alone.specs, strict=True):
        assert one.plan == other.plan
        assert one.plan.to_dict() == other.plan.to_dict()
        assert (one.resolved, one.train, one.unused_vars) == (other.resolved, other.train, other.unused_vars)
    return not together.diagnostics


@pytest.mark.parametrize("name", ["imagenet/resnet", "imagenet/mnasnet", "imagenet/swin", "imagenet/vgg", "dncnn"])
def test_variants_that_share_parts_are_what_each_is_alone(name: str) -> None:
    assert hold_variants(open_file(name)[0])


@pytest.mark.slow
def test_random_variants_that_share_parts_are_what_each_is_alone() -> None:
    random, sound = Random(6), 0
    for _ in range(15):
        data = yaml.safe_load(EVERYTHING)
        known, variants = data["vars"], {}
        for i in range(random.randint(2, 4)):
            name = random.choice(["width", "depth", "rate", "slope", "width"])
            variant: dict[str, Any] = {"vars": {name: changed(known[name], random)}}
            if random.random() < 0.3:
                variant["defaults"] = random.choice(
                    [{"own": {"stride": 1}}, {"norm": "none"}, {"conv": {"bias": False}}]
                )
            if random.random() < 0.3:
                variant["expect"] = {"output": random.choice([[64, 8], "=[64, width]"])}
            variants[f"v{i}"] = variant
        text = yaml.safe_dump({**data, "variants": variants}, sort_keys=False)
        sound += hold_variants(SpecFile("net.yaml", "net", reading.read(text.encode(), "net.yaml")))
    assert 2 < sound < 14


HEAD = "archspec: 1\ninput: [4, 8, 8]\n"


def spec(text: str) -> Spec:
    return SpecFile("net.yaml", "net", reading.read((HEAD + text).encode(), "net.yaml")).spec(None)


def test_a_fault_is_found_again_where_another_value_has_hidden_it() -> None:
    """What was elaborated beside a fault is not kept: the second plan would be silent about the first one's fault."""
    text = "vars: {kernel: 3, out: 4}\nblocks: {b: {args: {kernel: 3}, body: [{conv: {out: 4, kernel: =kernel}}]}}\n"
    net = spec(text + "network: [{b: =kernel}, {conv: {out: =out, kernel: 1}}]\n")
    for _ in range(2):
        with pytest.raises(SpecError, match=r"the window of `conv` \(9×9\) is larger than its padded input \(8×8\)"):
            net.replace({"kernel": 9})
    assert net.replace({"kernel": 5}).plan.output == (4, 4, 4)
    with pytest.raises(SpecError, match="`out` of `conv` must be an integer ≥ 1, not the number 0"):
        net.replace({"kernel": 5, "out": 0})


def test_a_variable_on_which_nothing_depends_is_refused_each_time() -> None:
    net = spec("vars: {out: 4, odd: 1}\nnetwork: [{conv: {out: =out, kernel: 1}}]\n")
    for _ in range(2):
        with pytest.raises(SpecError, match="`odd` is set, but nothing depends on it"):
            net.replace({"odd": 2})
    with pytest.raises(SpecError, match="the spec has no variable `od`"):
        net.replace({"od": 2})


def test_limits_hold_whatever_is_kept() -> None:
    """What each part took is counted again where it is reused: together they are beyond what one plan may take."""
    part = "{for: {i: =range(%s)}, body: [relu, tanh, relu, tanh, relu, tanh, relu, tanh]}"
    parts = ", ".join(part % name for name in ("a", "b", "c", "d", "e", "f"))
    net = spec(f"vars: {{a: 1, b: 1, c: 1, d: 1, e: 1, f: 1}}\nnetwork: [{parts}]\n")
    for name in "abcdef":
        assert net.replace({name: 1000}).plan.root.layers == 8 * 1005
    with pytest.raises(SpecError, match="the network takes more than 50,000 steps to elaborate"):
        net.replace(dict.fromkeys("abcdef", 1000))


def test_equal_values_share_their_parts_of_a_plan() -> None:
    net = archspec.load("resnet50")
    one, other = net.replace({"num_classes": 10}), net.replace({"num_classes": 20})
    stages = [dict(plan.root.children)["stages"] for plan in (one.plan, other.plan)]  # type: ignore[union-attr]
    assert stages[0] is stages[1]
    assert (one.plan.output, other.plan.output) == ((10,), (20,))


def test_a_spec_that_keeps_parts_can_be_pickled() -> None:
    net = archspec.load("resnet18").replace({"num_classes": 10})
    again = pickle.loads(pickle.dumps(net))
    assert again.plan == net.plan
    assert again.replace({"num_classes": 20}).plan.output == (20,)
    assert replace(net.spec_file, prepared=PreparedFile()) == net.spec_file
