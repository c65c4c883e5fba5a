"""What a recipe chooses by name: losses, schedules, ways of resizing; and keys that exclude one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archspec.foundation.arguments import Schema, boolean, choice, integer, number
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.recipe.options import Option

_CLASS_WEIGHTS: Schema = {
    "title": "`balanced`, or `{class: weight}`, weights above 0",
    "anyOf": [
        choice("balanced"),
        {"type": "object", "minProperties": 1, "additionalProperties": number(above=0)},
    ],
}


@dataclass(frozen=True)
class LossOption(Option):
    """A loss that recipes name."""

    applies: str = ""
    """The layer that it applies itself to a network's outputs, which are logits to it: `softmax` or `sigmoid`."""


LOSSES: dict[str, LossOption] = {
    "cross_entropy": LossOption(
        "The negative log-likelihood of the right class under softmax.",
        {"label_smoothing": number(0, below=1), "weight": _CLASS_WEIGHTS},
        applies="softmax",
    ),
    "binary_cross_entropy": LossOption(
        "Binary cross-entropy for each class, averaged over images and classes.",
        {"label_smoothing": number(0, below=1)},
        source="https://arxiv.org/abs/2110.00476",
        applies="sigmoid",
    ),
    "charbonnier": LossOption(
        "`sqrt(d² + eps²) - eps` of differences d from numbers: as `mean_absolute_error`, but smooth at 0.",
        {"eps": number(above=0)},
        source="https://doi.org/10.1109/ICIP.1994.413553",
    ),
    "dice": LossOption(
        "Of masks: one less the overlap of prediction and truth, a mean over images and classes.",
        {"smooth": number(above=0)},
        source="https://arxiv.org/abs/1606.04797",
        applies="softmax",
    ),
    "focal": LossOption(
        "Cross-entropy times `(1 - p)^gamma`, which weighs what is already right less.",
        {"gamma": number(0), "weight": _CLASS_WEIGHTS},
        source="https://arxiv.org/abs/1708.02002",
        applies="softmax",
    ),
    "mean_squared_error": LossOption("The mean of the squared differences from numbers, in their standard deviations."),
    "mean_absolute_error": LossOption(
        "The mean of the absolute differences from numbers, in their standard deviations."
    ),
    "smooth_l1": LossOption(
        "As `mean_squared_error` below a difference of `beta` standard deviations, as `mean_absolute_error` above.",
        {"beta": number(above=0)},
        source="https://arxiv.org/abs/1504.08083",
    ),
    "tversky": LossOption(
        "As `dice`, with `alpha` times what is wrongly found and `beta` times what is missed.",
        {"alpha": number(0), "beta": number(0), "smooth": number(above=0)},
        source="https://arxiv.org/abs/1706.05721",
        applies="softmax",
    ),
}
"""Each is a mean over images; `trainer.tasks` says which of them a task takes."""

_INTERPOLATION = choice("bilinear", "bicubic")

RESIZES: Mapping[str, Option] = {
    "stretch": Option(
        "Each image is brought to the input's height and width, whatever its own ratio is.",
        {"interpolation": _INTERPOLATION},
    ),
    "crop": Option(
        "The shorter side is brought to `size` pixels, 8/7 of the input's if not given, and the centre is cut out.",
        {"size": integer(1), "interpolation": _INTERPOLATION},
    ),
    "pad": Option(
        "The image is brought into the input whole, and centred; what it leaves is filled with the grey level `fill`, "
        "black if not given.",
        {"fill": integer(0, 255), "interpolation": _INTERPOLATION},
    ),
    "weights": Option("As `weights` were trained or published with."),
}

_GAMMA = number(above=0)

SCHEDULES: Mapping[str, Option] = {
    "multi_step": Option(
        "The rate is multiplied by `gamma` after each of the `milestones`, a list of epochs.",
        {"milestones": {"type": "array", "items": integer(1), "minItems": 1}, "gamma": _GAMMA},
        ("milestones",),
    ),
    "step": Option(
        "The rate is multiplied by `gamma` every `step_size` epochs.",
        {"step_size": integer(1), "gamma": _GAMMA},
        ("step_size",),
    ),
    "exponential": Option("The rate is multiplied by `gamma` after each epoch.", {"gamma": _GAMMA}, ("gamma",)),
    "cosine": Option(
        "The rate falls to `eta_min` along half a cosine, step by step.",
        {"eta_min": number(0)},
        source="https://arxiv.org/abs/1608.03983",
    ),
    "one_cycle": Option(
        "The rate rises from `lr / div_factor` to `lr` in the share `pct_start` of the steps, then falls to "
        "`1 / final_div_factor` of where it began.",
        {
            "pct_start": number(0, 1),
            "anneal_strategy": choice("cos", "linear"),
            "cycle_momentum": boolean(),
            "base_momentum": number(0, below=1),
            "max_momentum": number(0, below=1),
            "div_factor": number(above=0),
            "final_div_factor": number(above=0),
        },
        source="https://arxiv.org/abs/1708.07120",
    ),
}

OPTIONS: dict[str, dict[str, Schema]] = {
    key: {name: one.schema for name, one in options.items()}
    for key, options in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("loss", LOSSES), ("resize", RESIZES))
}
"""What `name` chooses among in the sections that choose: the arguments of each."""

EXCLUSIVE = {
    ("train",): ("epochs", "steps"),
    ("train", "warmup"): ("epochs", "steps"),
    ("train", "clip"): ("norm", "value"),
}
"""Keys of which one stands at most: where recipes are laid over one another, the one that is written last."""
