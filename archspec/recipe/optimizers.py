"""The optimizers that a recipe can choose: those of `torch.optim` that take plain parameters, with their arguments.

Names, arguments and defaults are torch's; the bounds are those that torch checks, its newest release where they
differ: before 2.15 it took any `lambd` and `alpha` of `asgd`. Known without torch.
"""

from __future__ import annotations

from archspec.foundation.arguments import Schema, boolean, either, number


def _list(*items: Schema) -> Schema:
    """A list of exactly these."""
    return {"type": "array", "prefixItems": list(items), "minItems": len(items), "maxItems": len(items)}


def _arguments(**others: Schema) -> dict[str, Schema]:
    return {"lr": number(above=0), **others}


_SHARE = number(0, below=1)
_ADAM = {"betas": _list(_SHARE, _SHARE), "eps": number(0), "weight_decay": number(0)}

OPTIMIZERS: dict[str, dict[str, Schema]] = {
    "adadelta": _arguments(rho=number(0, 1), eps=number(0), weight_decay=number(0)),
    "adafactor": _arguments(
        beta2_decay=number(maximum=0),
        eps=_list(either(number(0), {"type": "null"}), number(0)),
        d=number(1),
        weight_decay=number(0),
    ),
    "adagrad": _arguments(
        lr_decay=number(0), weight_decay=number(0), initial_accumulator_value=number(0), eps=number(0)
    ),
    "adam": _arguments(**_ADAM, amsgrad=boolean(), decoupled_weight_decay=boolean()),
    "adamax": _arguments(**_ADAM),
    "adamw": _arguments(**_ADAM, amsgrad=boolean()),
    "asgd": _arguments(lambd=number(0), alpha=number(0), t0=number(0), weight_decay=number(0)),
    "nadam": _arguments(**_ADAM, momentum_decay=number(0), decoupled_weight_decay=boolean()),
    "radam": _arguments(**_ADAM, decoupled_weight_decay=boolean()),
    "rmsprop": _arguments(
        alpha=number(0), eps=number(0), weight_decay=number(0), momentum=number(0), centered=boolean()
    ),
    "rprop": _arguments(
        etas=_list(number(above=0, below=1), number(above=1)), step_sizes=_list(number(above=0), number(above=0))
    ),
    "sgd": _arguments(momentum=number(0), dampening=number(), weight_decay=number(0), nesterov=boolean()),
}
"""The types of each one's arguments by name. Left out are switches of the implementation, `foreach` and the like."""

REQUIRED = {"sgd": ("lr",)}
"""Arguments without a default worth the name: torch's rate for `sgd` is 0.001, which suits next to no network."""
