"""What `explain` shows for an error's code is wrong with that code alone, and its cure is sound."""

from __future__ import annotations

import pytest

from archspec.foundation import reading
from archspec.foundation.codes import CODES
from archspec.foundation.errors import Fault
from archspec.foundation.source import Mapping
from archspec.language import overlay
from archspec.language.mistakes import MISTAKES
from archspec.spec import SpecFile

BASE = "archspec: 1\ninput: [3, 32, 32]\nnetwork: [relu]\n"
ELSEWHERE = {"extends-path", "plugin-failed", "usage", "variant-unknown"}
"""Codes of what depends on other files or on the command line."""


def codes(text: str) -> set[str]:
    try:
        tree = reading.read(text.encode(), "example.yaml")
    except Fault as fault:
        return {fault.code}
    base = reading.read(BASE.encode(), "base.yaml")
    assert isinstance(base, Mapping)
    assert isinstance(tree, Mapping)
    return {one.code for one in SpecFile("spec", "spec", overlay.merge(base, tree)).check().diagnostics}


def test_every_code_has_an_example() -> None:
    assert set(MISTAKES) | ELSEWHERE == set(CODES)
    assert not set(MISTAKES) & ELSEWHERE


@pytest.mark.parametrize("code", MISTAKES)
def test_the_wrong_one_has_its_code_and_the_cure_none(code: str) -> None:
    assert codes(MISTAKES[code].wrong) == {code}
    assert codes(MISTAKES[code].right) == set()
