"""Attention as statements of `forward`."""

from __future__ import annotations

from archspec.exports.python.layout import Bracket, Expression
from archspec.exports.python.statements import Statements
from archspec.exports.python.template import Template


def attended(method: Statements, template: Template, branches: list[Expression]) -> Expression:
    """Attention of tokens, the features of one head after those of another."""
    slots = dict(template.slots)
    heads = method.own("heads", method.maker.texts[id(template), "heads"])
    names = [method.variable(name) for name in ("query", "key", "value")]
    for name, one in zip(names, branches, strict=False):
        method.emit(f"{one}.unflatten(-1, ({heads}, -1)).transpose(1, 2)", f"{name} = ")
    attended = method.variable("attended")
    if "dropout" in slots:
        query, key, value = names
        weights = method.variable("weights")
        method.emit(f"{query} * {query}.shape[-1] ** -0.5 @ {key}.transpose(2, 3)", f"{weights} = ")
        for bias in branches[3:]:
            method.emit(f"{weights} + {bias}", f"{weights} = ")
        if "causal" in slots:
            method.emit(_without_later(weights), f"{weights} = ")
        rate = method.own("dropout", method.maker.texts[id(template), "dropout"])
        method.emit(Bracket("F.dropout", (f"{weights}.softmax(-1)", rate, "self.training")), f"{weights} = ")
        method.emit(f"{weights} @ {value}", f"{attended} = ")
    else:
        masks = [f"attn_mask={_without_later(one) if 'causal' in slots else one}" for one in branches[3:]]
        more = masks or (["is_causal=True"] if "causal" in slots else [])
        method.emit(Bracket("F.scaled_dot_product_attention", (*names, *more)), f"{attended} = ")
    return f"{attended}.transpose(1, 2).flatten(2)"


def _without_later(scores: Expression) -> str:
    """Scores in which no token attends to those after it."""
    return f"{scores} + torch.full_like({scores}, -math.inf).triu(1)"
