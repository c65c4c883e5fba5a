"""Which of timm's networks carry their weights over into the zoo's, and why the others do not.

    python benchmarks/timm_weights.py [NAME…]     the table of docs/weights.md; NAMEs, as timm has them, choose rows

Needs timm, which archspec does not. The models are initialised at random, nothing is downloaded: what is tried is the
architecture. Networks that allow it are compared on images smaller than their own.
"""

from __future__ import annotations

import gc
import re
import sys
import time

import torch

from archspec.spec import load
from archspec.weights import TransplantError, transplant

EPS = "defaults.norm={batch_norm: {eps: 1e-5}}"

ROWS: list[tuple[str, str, int, list[str]]] = [
    # timm's name, ours, size of the images compared, settings of our spec
    *((name, name, 64, []) for name in ("resnet18", "resnet34", "resnet50", "resnet101")),
    *((name, name, 64, []) for name in ("resnext50_32x4d", "wide_resnet50_2")),
    *((f"resnetv2_{depth}", f"preact_resnet{depth}", 64, []) for depth in (18, 34, 50)),
    *((f"regnetx_{name}", f"regnet_x_{ours}", 64, []) for name, ours in
      (("004_tv", "400mf"), ("008", "800mf"), ("016", "1_6gf"), ("032", "3_2gf"))),
    *((f"regnety_{name}", f"regnet_y_{ours}", 64, []) for name, ours in
      (("004", "400mf"), ("008_tv", "800mf"), ("016", "1_6gf"), ("032", "3_2gf"))),
    *((f"convnext_{size}", f"convnext_{size}", 64, []) for size in ("tiny", "small")),
    ("vit_base_patch16_224", "vit_b_16", 64, []),
    ("vit_base_patch32_224", "vit_b_32", 64, []),
    ("swin_tiny_patch4_window7_224", "swin_t", 224, []),
    ("swin_small_patch4_window7_224", "swin_s", 224, []),
    ("swinv2_tiny_window8_256", "swin_v2_t", 256, []),
    *((f"efficientnet_b{n}", f"efficientnet_b{n}", 64, []) for n in range(4)),
    ("tf_efficientnet_b0", "efficientnet_b0", 64, []),
    ("tf_efficientnet_b5", "efficientnet_b5", 64, []),
    *((f"{tf}efficientnetv2_s", "efficientnet_v2_s", 64, []) for tf in ("", "tf_")),
    ("efficientnetv2_s", "efficientnet_v2_s", 64, [EPS]),
    *((f"mobilenetv2_{name}", "mobilenet_v2", 64, settings) for name, settings in
      (("100", []), ("050", ["width=0.5"]), ("140", ["width=1.4"]))),
    *((f"{tf}mobilenetv3_{size}_100", f"mobilenet_v3_{size}", 64, settings) for size in ("small", "large")
      for tf, settings in (("", []), ("", [EPS]), ("tf_", []))),
    *((f"mnasnet_{name}", f"mnasnet{ours}", 64, []) for name, ours in
      (("050", "0_5"), ("075", "0_75"), ("100", "1_0"))),
    *((f"vgg{depth}{norm}", f"vgg{depth}{norm}", 64, []) for depth in (11, 13, 16) for norm in ("", "_bn")),
    *((f"dpn{depth}", f"dpn{depth}", 64, []) for depth in (92, 98)),
    ("inception_v3", "inception_v3", 299, []),
    ("inception_resnet_v2", "inception_resnet_v2", 96, []),
    *((f"densenet{depth}", f"densenet{depth}", 64, []) for depth in (121, 169, 161)),
    ("maxvit_tiny_tf_224", "maxvit_t", 224, []),
]  # fmt: skip


def main(chosen: list[str]) -> None:
    print("| timm | ours | weights | reason |\n|---|---|---|---|")
    carried = 0
    rows = [row for row in ROWS if not chosen or row[0] in chosen]
    for theirs, ours, size, settings in rows:
        start = time.perf_counter()
        verdict, reason = tried(theirs, ours, size, settings)
        carried += verdict.startswith("carried")
        print(f"| `{theirs}` | `{' '.join([ours, *settings])}` | {verdict} | {reason} |", flush=True)
        print(f"{theirs}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        gc.collect()
    print(f"\n{carried} of {len(rows)} are carried over.")


def tried(theirs: str, ours: str, size: int, settings: list[str]) -> tuple[str, str]:
    """What became of it, and why."""
    import timm

    torch.manual_seed(0)
    source = timm.create_model(theirs, **({"img_size": size} if theirs.startswith("vit") else {}))
    spec = load(ours, set=[f"input=[3, {size}, {size}]", *settings])
    spec = spec.without_aux() if theirs == "inception_v3" else spec  # as timm's is published
    target = spec.build()
    try:
        loaded = transplant(source, target, (3, size, size))
    except TransplantError as error:
        return "refused", brief(error.message)
    return ("carried, to rounding" if loaded.rounding else "carried"), ""


def brief(message: str) -> str:
    """An error on one line of the table."""
    words = " ".join(line.strip() for line in message.splitlines()).removeprefix("cannot transplant: ")
    words = re.sub(r"with the same .* the first result that differs is of", "first to differ:", words)
    words = re.sub(r"number (\d+) in the order of use is", r"number \1:", words)
    return words.replace(" in the source of ", " in timm's, ").replace("|", "\\|")


if __name__ == "__main__":
    main(sys.argv[1:])
