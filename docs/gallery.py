"""The gallery: every bundled network, drawn, with its figures; families in order, on one page.

python docs/gallery.py
"""

from __future__ import annotations

from pathlib import Path

from archspec.foundation.shapes import show
from archspec.language.finder import bundled, variants
from archspec.language.inputs import show_inputs
from archspec.plan.plan import Plan
from archspec.spec import load
from archspec.views.drawing.svg import svg

FOLDER = Path(__file__).parent
GROUPS = {
    "Convolutional networks for ImageNet": (
        *("imagenet/alexnet", "imagenet/vgg", "imagenet/googlenet", "imagenet/inception"),
        *("imagenet/inception_resnet", "imagenet/resnet", "imagenet/preact", "imagenet/densenet", "imagenet/dpn"),
        *("imagenet/regnet_x", "imagenet/regnet_y", "imagenet/convnext"),
    ),
    "Small and fast networks for ImageNet": (
        *("imagenet/squeezenet", "imagenet/mobilenet_v2", "imagenet/mobilenet_v3", "imagenet/shufflenet_v2"),
        *("imagenet/mnasnet", "imagenet/efficientnet", "imagenet/efficientnet_v2"),
    ),
    "Networks with attention for ImageNet": ("imagenet/vit", "imagenet/swin", "imagenet/swin_v2", "imagenet/maxvit"),
    "Segmentation, detection and denoising": (
        "unet",
        "unet_small",
        "unet_plus_plus_small",
        "imagenet/fpn",
        "dncnn",
        "dncnn_small",
    ),
    "Networks for CIFAR-10 and digits": ("resnet", "preact", "densenet", "googlenet", "digits"),
    "Networks for tables and sequences": tuple(
        name for name in bundled() if name.startswith(("tables/", "sequence", "three_inputs"))
    ),
    "Networks for Fashion-MNIST": tuple(name for name in bundled() if name.startswith("fashion/")),
}
"""Names of bundled specs in the order of the page; those that no group names follow."""
SHOWN = {"imagenet/resnet": "resnet50", "imagenet/inception": "inception_v3"}
"""Variants that are shown on the page, where it is not the first."""
HEAD = """# Gallery

Every network that comes with archspec, drawn by [`archspec draw`](draw.md) from its spec alone: one picture of each
family here, those of its other variants behind their names. Everything here is made by `python docs/gallery.py`.
"""


def files() -> dict[Path, str]:
    """The pictures and the page that shows them, by where they lie."""
    found = {picture(name): svg(load(spec, variant).plan) for name, spec, variant in networks()}
    return found | {FOLDER / "gallery.md": page()}


def page() -> str:
    """The page: of each family its description, figures and a picture."""
    text = HEAD
    for heading, specs in groups().items():
        text += f"\n## {heading}\n" + "".join(map(section, specs))
    return text


def groups() -> dict[str, list[str]]:
    """All bundled specs, in groups."""
    named = [name for group in GROUPS.values() for name in group]
    found = {heading: list(group) for heading, group in GROUPS.items()}
    others = [name for name in bundled() if name not in named]
    return found | ({"Others": others} if others else {})


def members(spec: str) -> list[tuple[str, str, str | None]]:
    """The networks of a spec, its variants or itself where it has none: by what name, in which spec, which variant."""
    own = [variant for variant, owner in variants().items() if owner == spec]
    return [(spec if name in bundled() else name, spec, name) for name in own] or [(spec, spec, None)]


def networks() -> list[tuple[str, str, str | None]]:
    return [one for specs in groups().values() for spec in specs for one in members(spec)]


def picture(name: str) -> Path:
    """Where a network's picture lies."""
    return FOLDER / "gallery" / f"{name.replace('/', '_')}.svg"


def section(spec: str) -> str:
    """A family's part of the page."""
    plans = {name: load(spec, variant).plan for name, _, variant in members(spec)}
    shown = SHOWN.get(spec, next(iter(plans)))
    plan = plans[shown]
    text = f"\n### {plan.name}\n\n{plan.description}"
    text += f" [Source]({plan.source})\n" if plan.source else "\n"
    text += "\n| network | input → output | parameters | GMACs |\n|---|---|---:|---:|\n"
    for name, one in plans.items():
        text += f"| [`{name}`](gallery/{picture(name).name}) | {figures(one)} |\n"
    return text + f"\n![{plan.title}](gallery/{picture(shown).name})\n"


def figures(plan: Plan) -> str:
    return f"{show_inputs(plan.takes)} → {show(plan.output)} | {plan.params:,} | {plan.macs / 1e9:.3f}"


def main() -> None:
    made = files()
    for old in set((FOLDER / "gallery").glob("*.svg")) - set(made):
        old.unlink()
    for path, text in made.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
