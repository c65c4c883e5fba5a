"""The table of docs/zoo.md: complete, as the specs are, and equal to what others publish."""

from __future__ import annotations

import pytest
import torchvision
from conftest import ROOT

from archspec.language.finder import bundled, find, variants
from archspec.language.inputs import show_inputs
from archspec.spec import load, open_file

TEXT = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("| `")
]
TORCHVISION = set(torchvision.models.list_models(module=torchvision.models))
# Section A and B of the reference networks, and what is published with the weights of others
PUBLISHED = {
    "googlenet": 260_650,
    "resnet": 272_378,
    "preact": 272_250,
    "densenet": 239_146,
    "fashion/alexnet": 46_764_746,
    "fashion/vgg": 43_093_322,
    "fashion/nin": 1_992_166,
    "fashion/googlenet": 5_977_530,
    "fashion/lenet_bn": 44_878,
    "fashion/resnet": 11_178_378,
    "fashion/densenet": 758_226,
    "fashion/lenet5": 61_706,
    "inception_resnet_v2": 55_843_464,
    "dpn92": 37_668_392,
}


def networks() -> list[tuple[str, str | None]]:
    """Every bundled network once: variants, and files without any."""
    found: list[tuple[str, str | None]] = []
    for name in bundled():
        own = [variant for variant, owner in variants().items() if owner == name]
        found += [(name, variant) for variant in own or [None]]
    return found


NETWORKS = networks()


def test_every_network_has_its_row_in_order() -> None:
    assert [row[0] for row in ROWS] == [variant or name for name, variant in NETWORKS]
    assert {row[0] for row in ROWS} >= TORCHVISION


@pytest.mark.parametrize(("network", "row"), list(zip(NETWORKS, ROWS, strict=False)), ids=[row[0] for row in ROWS])
def test_a_row_is_true(network: tuple[str, str | None], row: list[str]) -> None:
    name, variant = network
    _, input, params, reference, gmacs, published, difference, lines = row
    plan = load(name, variant).plan
    assert input == show_inputs(plan.takes)
    assert params == f"{plan.params:,}"
    assert gmacs == f"{plan.macs / 1e9:.3f}"
    assert lines == str(len(find(name).read().splitlines()))
    if variant in TORCHVISION:
        meta = next(iter(torchvision.models.get_model_weights(variant))).meta
        assert params == reference == f"{meta['num_params']:,}"
        assert gmacs == published == f"{meta['_ops']:.3f}"
        assert difference == "0.0"
    else:
        assert (published, difference) == ("", "")
        assert reference in ("", params)
        if (variant or name) in PUBLISHED:
            assert reference == f"{PUBLISHED[variant or name]:,}"


def test_the_whole_zoo_is_checked_in_one_go_and_sound() -> None:
    for name in bundled():
        checked = open_file(name)[0].check()
        assert checked.diagnostics == ()
        assert checked.specs
