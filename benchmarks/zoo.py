"""The table of docs/zoo.md: every bundled network against its published figures and torchvision's logits.

For each network of torchvision, its model gets random weights, unlike new ones, and our module the same, in the order
of use; both then see one random image of the network's own size. It takes a quarter of an hour on two cores, small
networks first, and 8 GB of memory for the largest; `--up-to 0` leaves the logits out, in a few seconds.

    python benchmarks/zoo.py > docs/zoo.md
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
import torchvision
from torch import nn

from archspec.language.finder import bundled, find
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan
from archspec.spec import load, open_file
from archspec.weights.match import match
from archspec.weights.network import Network
from archspec.weights.tensors import tensors_of

PUBLISHED = {
    # the CIFAR-10 four
    ("googlenet", None): 260_650,
    ("resnet", None): 272_378,
    ("preact", None): 272_250,
    ("densenet", None): 239_146,
    # the Fashion-MNIST seven, and LeNet-5
    ("fashion/alexnet", None): 46_764_746,
    ("fashion/vgg", None): 43_093_322,
    ("fashion/nin", None): 1_992_166,
    ("fashion/googlenet", None): 5_977_530,
    ("fashion/lenet_bn", None): 44_878,
    ("fashion/resnet", None): 11_178_378,
    ("fashion/densenet", None): 758_226,
    ("fashion/lenet5", None): 61_706,
    # as published with their weights
    ("imagenet/inception_resnet", "inception_resnet_v2"): 55_843_464,
    ("imagenet/dpn", "dpn92"): 37_668_392,
    ("imagenet/dpn", "dpn98"): 61_570_728,
    ("imagenet/dpn", "dpn131"): 79_254_504,
    ("imagenet/dpn", "dpn107"): 86_917_800,
}
"""Parameters of networks that torchvision does not have."""

HEAD = """# The zoo

Every network that comes with archspec. `archspec check NAME` gives the figures of one; a name with a slash is a file in
`specs/`, one without is a variant of it.

- **params**, **GMACs**: ours, and beside each the reference: that which torchvision publishes with its weights,
  or the published ones of the paper or its code. Auxiliary classifiers count as parameters (in `googlenet` they are
  left out, as in the published figure). GMACs are those of one image of the input's size.
- **logits**: the largest difference from torchvision's, with the same weights, on a random image of that size.
- **lines**: of the spec, all its variants included.

Made by `python benchmarks/zoo.py > docs/zoo.md`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--up-to", type=float, default=float("inf"), metavar="GMACS", help="no logits of larger ones")
    up_to = parser.parse_args().up_to
    networks = []
    for name in bundled():
        plans = [spec.plan for spec in open_file(name)[0].check().specs]
        networks += [(name, plan) for plan in plans if plan.variant or len(plans) == 1]
    rows = {}
    for name, plan in sorted(networks, key=lambda one: one[1].macs):
        began = time.perf_counter()
        rows[name, plan.variant] = row(name, plan, logits=plan.macs / 1e9 <= up_to)
        print(f"{time.perf_counter() - began:4.0f} s  {rows[name, plan.variant]}", file=sys.stderr, flush=True)
    print(HEAD)
    print(f"torch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}.\n")
    print("| network | input | params | reference | GMACs | reference | logits | lines |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name, plan in networks:
        print(rows[name, plan.variant])


def row(name: str, plan: Plan, *, logits: bool) -> str:
    """A network's line of the table."""
    variant = plan.variant
    params, gmacs, difference = PUBLISHED.get((name, variant)), None, None
    if variant and variant in torchvision.models.list_models(module=torchvision.models):
        meta = next(iter(torchvision.models.get_model_weights(variant))).meta
        params, gmacs = meta["num_params"], meta["_ops"]
        difference = largest_difference(name, variant, plan) if logits else None
    cells = [
        f"`{variant}`" if variant else f"`{name}`",
        show_inputs(plan.takes),
        f"{plan.params:,}",
        "" if params is None else f"{params:,}",
        f"{plan.macs / 1e9:.3f}",
        "" if gmacs is None else f"{gmacs:.3f}",
        "" if difference is None else "0.0" if difference == 0 else f"{difference:.1e}",
        str(lines_of(name)),
    ]
    return f"| {' | '.join(cells)} |"


def lines_of(name: str) -> int:
    return find(name).read().count(b"\n")


def largest_difference(name: str, variant: str, plan: Plan) -> float:
    """Between our logits and torchvision's."""
    torch.manual_seed(0)
    theirs = with_other_values(torchvision_model(variant, plan.input[1])).eval()
    ours = load(name, variant).build().eval()
    images = torch.randn(1, *plan.input)
    copy_along_data(theirs, ours, torch.empty(2, *plan.input))  # batch norm wants more than one value
    with torch.inference_mode():
        expected, found = theirs(images), ours(images)
    if not expected.isfinite().all() or expected.std() == 0:
        raise RuntimeError(f"{variant}: torchvision's logits say nothing")
    return float((expected - found).abs().max())


def copy_along_data(source: nn.Module, target: nn.Module, images: torch.Tensor) -> None:
    """As `archspec.weights.transplant` does, less its proof, which would take four more runs."""
    found = match(Network("source", source, images), Network("target", target, images))
    theirs, ours = tensors_of(source), tensors_of(target)
    with torch.no_grad():
        for name, piece in found.pieces.items():
            ours[name].copy_(piece.of(theirs, ours[name]))


def torchvision_model(variant: str, size: int) -> nn.Module:
    options: dict[str, object] = {"image_size": size} if variant.startswith("vit") else {}
    if variant == "googlenet":  # published without its auxiliary classifiers
        options = {"aux_logits": False, "init_weights": False}
    if variant == "inception_v3":
        options = {"init_weights": False}
    model: nn.Module = torchvision.models.get_model(variant, **options)
    return model


def with_other_values(model: nn.Module) -> nn.Module:
    """Statistics and vectors of parameters that are not 0 or 1, so that none could be left out unnoticed."""
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 or "layer_scale" in name or "token" in name or name.startswith("heads"):
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model


if __name__ == "__main__":
    main()
