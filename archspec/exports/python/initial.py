"""The initial values of a network's parameters, as statements."""

from __future__ import annotations

from collections.abc import Iterable

from archspec.exports.python.layout import INDENT, Bracket, statement
from archspec.exports.python.rows import literal
from archspec.exports.python.tree import of_call
from archspec.layers.initializers import Init
from archspec.layers.registry import primitives
from archspec.plan.graph import GraphLayer

_TWO, _THREE, _FOUR = (INDENT * depth for depth in (2, 3, 4))
_INNER = {
    "Attention": {"heads.out_proj": "nn.Linear"},
    "MultiAxisAttention": {"qkv": "nn.Linear", "out": "nn.Linear"},
    "WindowAttention": {"qkv": "nn.Linear", "out": "nn.Linear"},
    "WindowAttentionV2": dict.fromkeys(("qkv", "out", "bias_network.0", "bias_network.2"), "nn.Linear"),
}
"""The layers within those that torch has no class for."""
_BASES = {
    "LayerNorm2d": "nn.LayerNorm",
    **dict.fromkeys(("WsConv", "SameWsConv", "PaddedWsConv"), "nn.Conv2d"),
    **{f"{kind}Conv{axes}d": f"nn.Conv{axes}d" for kind in ("Same", "Padded") for axes in (1, 2, 3)},
}
"""The classes of torch that they are too."""

Values = dict[tuple[str, str], Init | None]
"""The initialiser of each parameter, by the path of its module and its name; `None` where it is torch's own."""


def write_initial_values(layers: Iterable[GraphLayer]) -> list[str]:
    """What the end of the network's `__init__` does; nothing where all values are torch's own."""
    kinds: dict[str, Values] = {}
    for item in layers:
        if item.module == item.path:
            _collect(item, kinds)
    general: dict[str, dict[str, Init]] = {}
    single: dict[tuple[tuple[str, Init], ...], list[str]] = {}
    for kind, values in kinds.items():
        found = {name: _general(values, name) for name in dict.fromkeys(name for _, name in values)}
        general[kind] = {name: init for name, init in found.items() if init}
        by_path: dict[str, list[tuple[str, Init]]] = {}
        for (path, name), init in values.items():
            if init and init != found[name]:
                by_path.setdefault(path, []).append((name, init))
        for path, given in by_path.items():
            single.setdefault(tuple(given), []).append(path)
    lines = _loop(general, kinds)
    for inits, paths in single.items():
        lines += _by_name(inits, paths, kinds) or _by_path(inits, paths)
    return lines


def _collect(item: GraphLayer, kinds: dict[str, Values]) -> None:
    kind, init = _kind(item), dict(item.layer.init)
    inner = _INNER.get(kind, {})
    for name, _ in item.layer.parameters:
        owner, _, last = name.rpartition(".")
        of = inner.get(owner, _BASES.get(kind, kind))
        path = f"{item.path}.{owner}" if owner in inner else item.path
        kinds.setdefault(of, {})[path, last if owner in inner else name] = init.get(name)


def _general(values: Values, name: str) -> Init | None:
    """What holds for all layers of a class, but for some that get another value; `None` where one keeps torch's."""
    row = [init for (_, one), init in values.items() if one == name]
    return None if None in row else max(row, key=row.count)


def _loop(general: dict[str, dict[str, Init]], kinds: dict[str, Values]) -> list[str]:
    groups: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for kind, found in general.items():
        lines = []
        for name, init in found.items():
            call = _call(f"module.{name}", init)
            has_all = len({path for path, _ in kinds[kind]}) == sum(one == name for _, one in kinds[kind])
            if has_all:
                lines.append(tuple(statement(call, _FOUR)))
            else:
                guard = f"{_FOUR}if module.{name} is not None:"
                lines.append((guard, *statement(call, _FOUR + INDENT)))
        if lines:
            groups.setdefault(tuple(lines), []).append(kind)
    if not groups:
        return []
    written = [f"{_TWO}for module in self.modules():"]
    for statements, names in groups.items():
        word = "if" if len(written) == 1 else "elif"
        wanted = names[0] if len(names) == 1 else f"({', '.join(names)})"
        written.append(f"{_THREE}{word} isinstance(module, {wanted}):")
        written += [line for lines in statements for line in lines]
    return written


def _by_name(inits: tuple[tuple[str, Init], ...], paths: list[str], kinds: dict[str, Values]) -> list[str]:
    """For many layers of one class that a word in their names tells from its others."""
    found = [kind for kind, values in kinds.items() if {path for path, _ in values} >= set(paths)]
    if len(paths) < 4 or not found:
        return []
    others = {path for path, _ in kinds[found[0]]} - set(paths)
    for word in dict.fromkeys(word for word in paths[0].split(".") if not word.isdigit()):
        for text, is_chosen in (
            (f'name.endswith(".{word}")', lambda name, word=word: name.endswith(f".{word}")),
            (f'".{word}." in name', lambda name, word=word: f".{word}." in name),
        ):
            if all(map(is_chosen, paths)) and not any(map(is_chosen, others)):
                lines = [f"{_TWO}for name, module in self.named_modules():"]
                lines.append(f"{_THREE}if isinstance(module, {found[0]}) and {text}:")
                return [
                    *lines,
                    *(one for name, init in inits for one in statement(_call(f"module.{name}", init), _FOUR)),
                ]
    return []


def _by_path(inits: tuple[tuple[str, Init], ...], paths: list[str]) -> list[str]:
    if len(paths) == 1:
        calls = [_call(f'self.get_parameter("{paths[0]}.{name}")', init) for name, init in inits]
        return [line for call in calls for line in statement(call, _TWO)]
    names = Bracket("", tuple(f'"{path}"' for path in paths))
    lines = statement(names, _TWO, "for name in ")
    lines[-1] += ":"
    calls = [_call(f'self.get_parameter(f"{{name}}.{name}")', init) for name, init in inits]
    return [*lines, *(line for call in calls for line in statement(call, _THREE))]


def _call(parameter: str, init: Init) -> Bracket:
    function, arguments = init
    if function == "constant" and dict(arguments).get("val") in (0, 1):
        value = dict(arguments)["val"]
        return Bracket(f"nn.init.{'ones' if value else 'zeros'}_", (parameter,))
    named = tuple(f"{name}={literal(value)}" for name, value in arguments)
    return Bracket(f"nn.init.{function}_", (parameter, *named))


def _kind(item: GraphLayer) -> str:
    call = primitives()[item.layer.primitive].call(item.layer.arguments, item.layer.input)
    return of_call(call).name if call else ""
