"""The gallery of the documentation is what its command makes."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
from conftest import ROOT

from archspec.language.finder import bundled
from archspec.spec import load
from archspec.views.drawing.svg import svg


def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_network_has_its_picture_and_the_page_is_up_to_date() -> None:
    made = gallery()
    names = {name for name, _, _ in made.networks()}
    assert len(names) == len([one for spec in bundled() for one in made.members(spec)]) >= 107
    files = sorted((ROOT / "docs" / "gallery").iterdir())
    assert files == sorted(map(made.picture, names))
    assert sum(file.stat().st_size for file in files) < 1_500_000
    assert max(file.stat().st_size for file in files) < 40_000
    assert (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8") == made.page(), "run `python docs/gallery.py`"


@pytest.mark.parametrize("eighth", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))])
def test_pictures_are_up_to_date(eighth: int) -> None:
    made = gallery()
    for name, spec, variant in made.networks()[eighth::8]:
        drawn = made.picture(name).read_text(encoding="utf-8")
        assert drawn == svg(load(spec, variant).plan), f"{name}: run `python docs/gallery.py`"


def test_a_notebook_shows_specs_and_plans() -> None:
    spec = load("resnet50")
    drawn = (ROOT / "docs" / "gallery" / "resnet50.svg").read_text(encoding="utf-8")
    assert spec._repr_svg_() == spec.plan._repr_svg_() == drawn
    figures = "3×224×224 → 1000, 25,557,032 parameters, 4.089 GMACs"
    shown = f"<figure><figcaption><b>ResNet (resnet50)</b> {figures}</figcaption>{drawn}</figure>"
    assert spec._repr_html_() == spec.plan._repr_html_() == shown
