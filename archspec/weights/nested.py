"""Where in a checkpoint the weights are: beside an epoch, an optimizer's state, averaged copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from archspec.foundation.errors import UsageError, cut, escape_line, join_words

USUAL = ("state_dict", "model")
"""Where most programs keep the weights of a checkpoint; the first of them that is there is meant."""
_LEVELS = 3
SHOWN = 8
_LIGHTNING = "pytorch-lightning_version"


def find_state(content: Any, path: str) -> tuple[Any, tuple[str, ...]]:
    """The named tensors of a checkpoint, or what it is itself where it is none; and notes on where they were.

    Raises `UsageError` where several sets of tensors could be meant.
    """
    if not isinstance(content, Mapping):
        return content, ()
    for key in USUAL:
        if isinstance(inner := content.get(key), Mapping):
            if _LIGHTNING in content:
                return _of_lightning(inner), ()
            deeper = {} if _is_state(inner) else _states(inner, set())
            where, state = next(iter(deeper.items())) if len(deeper) == 1 else ((), inner)
            others = [at for at, one in _states(content, {id(state)}).items() if state.keys() & one]
            return state, (_note((key, *where), others),) if where or others else ()
    found = {} if any(isinstance(value, Tensor) for value in content.values()) else _states(content, set())
    if not found:
        return content, ()
    if len(found) > 1:
        items = "".join(f"[{key!r}]" for key in next(iter(found)))
        raise UsageError(
            f"{escape_line(path)} holds several sets of tensors: {_listed(list(found))}",
            help=f"save the one that is meant alone: torch.save(torch.load({path!r}, weights_only=True)"
            f"{escape_line(cut(items, 100))}, 'weights.pt')",
        )
    where, state = next(iter(found.items()))
    return state, (_note(where, []),)


Keys = tuple[str, ...]


def _note(where: Keys, others: list[Keys]) -> str:
    rest = f"; the file holds other values of them in {_listed(others)}" if others else ""
    return f"the tensors were read from {_listed([where])}{rest}"


def _listed(names: list[Keys]) -> str:
    shown = [escape_line(cut(".".join(keys), 100)) for keys in names[:SHOWN]]
    return join_words([*shown, f"{len(names) - SHOWN} more"] if len(names) > SHOWN else shown)


def _of_lightning(state: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Of a training of archspec, the network's: the module holds mean and standard deviation of the images beside."""
    prefix = "network."
    if not any(str(name).startswith(prefix) for name in state):
        return state
    return {name.removeprefix(prefix): value for name, value in state.items() if str(name).startswith(prefix)}


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(one, Tensor) for name, one in value.items())
    )


def _states(content: Mapping[Any, Any], seen: set[int], level: int = 1) -> dict[Keys, Mapping[str, Tensor]]:
    """Mappings of names to tensors, each once, by the keys that lead to them."""
    found: dict[Keys, Mapping[str, Tensor]] = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Mapping) or id(value) in seen:
            continue
        seen.add(id(value))
        if _is_state(value):
            found[key,] = value
        elif level < _LEVELS:
            found |= {(key, *keys): one for keys, one in _states(value, seen, level + 1).items()}
    return found
