"""The gallery: some of the bundled networks, drawn, with their figures.

python docs/gallery.py
"""

from __future__ import annotations

from pathlib import Path

from archspec.foundation.shapes import show
from archspec.plan.plan import Plan
from archspec.spec import load
from archspec.views.drawing.svg import svg

FOLDER = Path(__file__).parent
NETWORKS = {
    "imagenet/googlenet": "branches side by side, auxiliary classifiers",
    "resnet50": "stages of repeated blocks",
    "inception_v3": "blocks of several kinds",
    "densenet121": "growing blocks, folded since they differ in their channels alone",
    "mobilenet_v2": "stages as a paper's table has them",
    "swin_t": "attention in windows",
    "vit_b_16": "one block, twelve times: drawn once",
    "unet": "saved tensors, taken up again on the way up",
    "imagenet/fpn": "several outputs, on each level one",
}
"""Names of bundled specs or variants, and what their pictures show."""
HEAD = """# Gallery

Some of the networks that come with archspec, drawn by [`archspec draw`](draw.md) from their specs alone. Everything
here is made by `python docs/gallery.py`.
"""


def files() -> dict[Path, str]:
    """The pictures and the page that shows them, by where they lie."""
    found = {}
    page = HEAD
    for name, shows in NETWORKS.items():
        plan = load(name).plan
        file = f"gallery/{name.rsplit('/', 1)[-1]}.svg"
        found[FOLDER / file] = svg(plan)
        page += f"\n## {plan.title}\n\n{figures(plan)}: {shows}.\n\n![{plan.title}]({file})\n"
    return found | {FOLDER / "gallery.md": page}


def figures(plan: Plan) -> str:
    return f"{show(plan.input)} → {show(plan.output)}, {plan.params:,} parameters, {plan.macs / 1e9:.3f} GMACs"


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
