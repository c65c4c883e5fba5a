"""The optimizers that a recipe can choose: those of `torch.optim` that take plain parameters, with their arguments.

Names, arguments and defaults are torch's; the bounds are those that torch checks, its newest release where they
differ: before 2.15 it took any `lambd` and `alpha` of `asgd`. A momentum or average that would never forget is refused
too. Known without torch.
"""

from __future__ import annotations

from collections.abc import Mapping

from archspec.foundation.arguments import Schema, boolean, either, number
from archspec.recipe.options import Option, refuse


def _list(*items: Schema) -> Schema:
    """A list of exactly these."""
    return {"type": "array", "prefixItems": list(items), "minItems": len(items), "maxItems": len(items)}


def _arguments(**others: Schema) -> dict[str, Schema]:
    return {"lr": number(above=0), **others}


_SHARE = number(0, below=1)
_ADAM = {"betas": _list(_SHARE, _SHARE), "eps": number(0), "weight_decay": number(0)}
_NESTEROV: dict[str, Schema] = {
    # torch refuses it without momentum, and with dampening
    "if": {"properties": {"nesterov": {"not": {"const": True}}}},
    "else": {
        "description": "Nesterov's momentum is a form of momentum",
        "required": ["momentum"],
        "properties": {
            "momentum": number(above=0, below=1),
            "dampening": refuse({"not": {"const": 0}}, "out-of-range", "must be 0 beside `nesterov: true`"),
        },
    },
}

OPTIMIZERS: Mapping[str, Option] = {
    "adadelta": Option(
        "Steps by the ratio of running averages of updates and gradients.",
        _arguments(rho=number(0, 1), eps=number(0), weight_decay=number(0)),
        source="https://arxiv.org/abs/1212.5701",
    ),
    "adafactor": Option(
        "Adam whose second moments are kept by rows and columns, which takes less memory.",
        _arguments(
            beta2_decay=number(maximum=0),
            eps=_list(either(number(0), {"type": "null"}), number(0)),
            d=number(1),
            weight_decay=number(0),
        ),
        source="https://arxiv.org/abs/1804.04235",
    ),
    "adagrad": Option(
        "Divides each gradient by the root of the sum of its squares so far.",
        _arguments(lr_decay=number(0), weight_decay=number(0), initial_accumulator_value=number(0), eps=number(0)),
        source="https://jmlr.org/papers/v12/duchi11a.html",
    ),
    "adam": Option(
        "Steps by running averages of each gradient and of its square.",
        _arguments(**_ADAM, amsgrad=boolean(), decoupled_weight_decay=boolean()),
        source="https://arxiv.org/abs/1412.6980",
    ),
    "adamax": Option(
        "Adam with a running maximum of the gradient's size in place of the average of its square.",
        _arguments(**_ADAM),
        source="https://arxiv.org/abs/1412.6980",
    ),
    "adamw": Option(
        "Adam whose weight decay acts on the weights themselves, apart from the gradients.",
        _arguments(**_ADAM, amsgrad=boolean()),
        source="https://arxiv.org/abs/1711.05101",
    ),
    "asgd": Option(
        "Gradient descent that also averages the weights of its steps.",
        _arguments(lambd=number(0), alpha=number(0), t0=number(0), weight_decay=number(0)),
    ),
    "nadam": Option(
        "Adam with Nesterov's momentum.",
        _arguments(**_ADAM, momentum_decay=number(0), decoupled_weight_decay=boolean()),
        source="https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
    ),
    "radam": Option(
        "Adam that holds back its adaptive rate while the variance of that is large, in the first steps.",
        _arguments(**_ADAM, decoupled_weight_decay=boolean()),
        source="https://arxiv.org/abs/1908.03265",
    ),
    "rmsprop": Option(
        "Divides each gradient by the root of a running average of its square.",
        _arguments(alpha=_SHARE, eps=number(0), weight_decay=number(0), momentum=_SHARE, centered=boolean()),
    ),
    "rprop": Option(
        "Steps by the sign of each gradient; a step grows while the sign stays, and shrinks where it changes.",
        _arguments(
            etas=_list(number(above=0, below=1), number(above=1)), step_sizes=_list(number(above=0), number(above=0))
        ),
    ),
    "sgd": Option(
        "Gradient descent, with momentum where it is given.",
        _arguments(momentum=_SHARE, dampening=number(), weight_decay=number(0), nesterov=boolean()),
        required=("lr",),  # torch's is 0.001, which suits next to no network
        conditions=_NESTEROV,
    ),
}
"""Each one's arguments leave out switches of the implementation, `foreach` and the like."""
