"""Auxiliary classifiers in loops, and branches that load several tensors: equal to what is written out."""

from __future__ import annotations

import pytest
import torch

from archspec.foundation.errors import SpecError
from archspec.spec import Spec, from_dict


def _load(*network: object, **sections: object) -> Spec:
    return from_dict({"archspec": 1, "input": [3, 8, 8], "network": list(network), **sections})


def _conv(out: object) -> dict[str, object]:
    return {"conv": {"out": out, "kernel": 1}}


def _exit(name: str) -> dict[str, object]:
    return {"aux": {"name": name, "weight": 0.3, "body": ["global_avg_pool", "flatten", {"linear": 5}]}}


def _same(one: Spec, other: Spec) -> None:
    """The same weights give the same results, in training too."""
    first, second = one.build(), other.build()
    second.load_state_dict(first.state_dict())
    images = torch.randn(2, 3, 8, 8)
    for mode in (True, False):
        torch.testing.assert_close(first.train(mode)(images), second.train(mode)(images), rtol=0, atol=0)
    assert (one.plan.params, one.plan.macs) == (other.plan.params, other.plan.macs)


def test_side_classifiers_of_a_loop_are_those_written_out() -> None:
    looped = _load({"for": {"out": [4, 6]}, "body": [_conv("=out"), _exit("='exit' + str(index)")]}, _conv(2))
    written = _load([[_conv(4), _exit("exit0")], [_conv(6), _exit("exit1")]], _conv(2))
    assert list(looped.plan.aux) == ["exit0", "exit1"]
    assert [layer.path for layer in looped.plan.layers] == [layer.path for layer in written.plan.layers]
    _same(looped, written)


def test_a_block_names_its_side_classifier_by_an_argument() -> None:
    blocks = {"stage": {"args": {"name": {"type": "string"}}, "body": [_conv(4), _exit("=name")]}}
    spec = _load({"stage": "early"}, {"stage": "late"}, blocks=blocks)
    assert list(spec.plan.aux) == ["early", "late"]
    assert "0.early.2.weight" in spec.build().state_dict()


def test_the_name_of_a_part_stays_in_paths() -> None:
    spec = from_dict({"archspec": 1, "input": [3, 8, 8], "network": {"a": [_conv(4)], "b": _exit("='x' + 'y'")}})
    assert list(spec.plan.aux) == ["xy"]
    assert "b.2.weight" in spec.build().state_dict()


SAVED = [{"for": {"name": ["a", "b"], "out": [4, 5]}, "body": [_conv("=out"), {"save": "=name"}]}]
LOADS: dict[str, tuple[object, object]] = {
    "alone": ({"load": ["a", "b"]}, [{"load": "a"}, {"load": "b"}]),
    "by a formula": ({"load": "=['b', 'a']"}, [{"load": "b"}, {"load": "a"}]),
    "one twice": ({"load": ["a", "b", "a"]}, [{"load": "a"}, {"load": "b"}, {"load": "a"}]),
    "among others": ([[], {"load": ["a", "b"]}, _conv(2)], [[], {"load": "a"}, {"load": "b"}, _conv(2)]),
    "as a named branch": (
        {"here": [], "skips": {"load": "=['a', 'b']"}},
        {"here": [], "skip_a": {"load": "a"}, "skip_b": {"load": "b"}},
    ),
    "no names": ([[], {"load": "=[]"}, {"load": ["a", "b"]}], [[], {"load": "a"}, {"load": "b"}]),
    "one left out": ([[], {"load": ["a"], "when": False}, {"load": ["a", "b"]}], [[], {"load": ["a", "b"]}]),
}


@pytest.mark.parametrize(("short", "written"), LOADS.values(), ids=LOADS)
def test_a_list_of_names_is_a_branch_for_each(short: object, written: object) -> None:
    one, other = _load(*SAVED, {"concat": short}), _load(*SAVED, {"concat": written})
    assert one.plan.output == other.plan.output
    first, second = one.build(), other.build()
    second.load_state_dict(dict(zip(second.state_dict(), first.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(first(images), second(images))


def test_a_module_that_loads_a_list_holds_no_more_than_one_written_by_hand() -> None:
    """One `cat` of all, no copies on the way: what torch.fx wrote is a single call."""
    model = _load(*SAVED, {"concat": {"load": ["a", "b"]}}).build()
    code = "".join(str(one.code) for one in model.modules() if hasattr(one, "code"))
    assert code.count("torch.cat") == 1


def test_a_list_of_names_elsewhere_is_refused() -> None:
    with pytest.raises(SpecError, match="several tensors are branches of a merge"):
        _load(*SAVED, {"load": "=['a', 'b']"})
