"""The gallery of the documentation is what its command makes."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from conftest import ROOT

from archspec.spec import load


def gallery() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_gallery_is_up_to_date() -> None:
    files = gallery().files()
    assert set(files) == {*(ROOT / "docs" / "gallery").iterdir(), ROOT / "docs" / "gallery.md"}
    for path, text in files.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `python docs/gallery.py`"
        assert len(text.encode()) < 40_000


def test_a_notebook_shows_specs_and_plans() -> None:
    spec = load("resnet50")
    drawn = (ROOT / "docs" / "gallery" / "resnet50.svg").read_text(encoding="utf-8")
    assert spec._repr_svg_() == spec.plan._repr_svg_() == drawn
