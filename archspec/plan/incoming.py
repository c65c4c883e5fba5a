"""What formulas see of the tensor that reaches a node, `c_in` and the like, where they take it for an earlier one's."""

from __future__ import annotations

from collections.abc import Iterable

from archspec.language.syntax import Call, Sequence, SyntaxNode, iterate_bodies


def explain_moved(names: Iterable[str]) -> str:
    """What to do where a formula takes the incoming tensor's size for an earlier one's."""
    name = next(iter(names))
    kept = {"c_in": "channels", "h_in": "height", "w_in": "width"}.get(name, "shape")
    return f"`{name}` is that of the node where it stands: keep an earlier one by `- let: {{{kept}: ={name}}}`"


def uses_later(node: SyntaxNode, name: str) -> bool:
    """Whether a formula within a branch, after its first node, uses `c_in` or the like."""
    later = node.body.nodes[1:] if isinstance(node.body, Sequence) else ()
    calls = [body for one in later for body in iterate_bodies(one) if isinstance(body, Call)]
    given = [one.value for call in calls for one in call.arguments.values()]
    given += [call.main for call in calls if call.main is not None]
    return any(name in expression.names for expression in given)
