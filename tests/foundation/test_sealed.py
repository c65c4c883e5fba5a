"""Sealed records against frozen dataclasses with slots."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from archspec.foundation.sealed import sealed


@sealed(frozen=True, slots=True)
class Sealed:
    name: str
    size: int = 1
    twice: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.size)


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    size: int = 1
    twice: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.size)


def test_a_sealed_record_is_what_a_frozen_dataclass_is() -> None:
    one, other = Sealed("a", 3), Frozen("a", 3)
    assert type(one) is Sealed
    assert repr(one) == repr(other).replace("Frozen", "Sealed")
    assert dataclasses.astuple(one) == dataclasses.astuple(other) == ("a", 3, 6)
    assert hash(one) == hash(other)
    assert one == Sealed("a", 3) != Sealed("a", 4)
    assert dataclasses.astuple(dataclasses.replace(one, size=5)) == ("a", 5, 10)
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert type(again) is Sealed
        assert again == one


def test_a_sealed_record_cannot_be_changed() -> None:
    one = Sealed("a")
    for change in (lambda: setattr(one, "size", 2), lambda: delattr(one, "size"), lambda: setattr(one, "other", 2)):
        with pytest.raises(FrozenInstanceError, match=r"cannot change `(size|other)`"):
            change()
    assert one.size == 1
