"""Names of tensors in a file, and names in a network: a prefix of all of them, and places in lists that moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from archspec.foundation.errors import UsageError, escape_line


def without_prefix(names: Iterable[str], own: Iterable[str]) -> str:
    """What all names begin with and the network's do not: `module.`, `_orig_mod.`; or nothing."""
    names, known = list(names), set(own)
    best, matching = "", sum(name in known for name in names)
    prefix = ""
    for _ in range(DEEPEST if names else 0):
        head, dot, _ = names[0].removeprefix(prefix).partition(".")
        prefix += head + dot
        if not dot or not all(name.startswith(prefix) for name in names):
            break
        count = sum(name.removeprefix(prefix) in known for name in names)
        if count > matching:
            best, matching = prefix, count
    return best


DEEPEST = 50
"""Parts that a name of a tensor may have; others are no network's."""

Tree = dict[str, "Tree | Tensor"]
Entry = tuple[str, "Tree | Tensor"]


def renamed(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, str]:
    """The names in the network of a file's tensors, of those that have one.

    A place in a list is no name: a layer that was inserted moves those after it. Where a list is as long in both, its
    places are taken as they are. Where it is not, entries of equal tensors are aligned in their order.

    Raises `UsageError` where there is more than one way to align most of them: weights could come into the wrong layer.
    """
    found: dict[str, str] = {}
    _pair(_tree(state), _tree(own), "", "", found)
    return found


def _tree(tensors: Mapping[str, Tensor]) -> Tree:
    root: Tree = {}
    for name, tensor in tensors.items():
        if name.count(".") > DEEPEST:
            continue
        *path, last = name.split(".")
        here = root
        for part in path:
            inner = here.setdefault(part, {})
            if isinstance(inner, Tensor):  # a tensor and others below it: no module's names
                break
            here = inner
        else:
            here[last] = tensor
    return root


def _pair(theirs: Tree, ours: Tree, path: str, own_path: str, found: dict[str, str]) -> None:
    for key, own_key in _keys(theirs, ours, own_path).items():
        value, own = theirs[key], ours[own_key]
        if isinstance(value, Tensor) or isinstance(own, Tensor):
            if isinstance(value, Tensor) and isinstance(own, Tensor):
                found[path + key] = own_path + own_key
        else:
            _pair(value, own, f"{path}{key}.", f"{own_path}{own_key}.", found)


def _keys(theirs: Tree, ours: Tree, path: str) -> dict[str, str]:
    """Which keys of a file stand for which of the network's, at one level."""
    places, own_places = (
        sorted((key for key, value in tree.items() if key.isdecimal() and not isinstance(value, Tensor)), key=int)
        for tree in (theirs, ours)
    )
    same = {key: key for key in theirs if key in ours and key not in places and key not in own_places}
    if places == own_places:
        return same | {key: key for key in places}
    return same | _align([(key, theirs[key]) for key in places], [(key, ours[key]) for key in own_places], path)


LARGEST = 2_000_000
"""Steps that an alignment may take."""


def _align(theirs: list[Entry], ours: list[Entry], path: str) -> dict[str, str]:
    """The alignment of most entries that are equal, where there is only one."""
    forms, own_forms = ([_signature(value) for _, value in side] for side in (theirs, ours))
    count = 2
    if len(forms) * len(own_forms) ** 2 < LARGEST:
        pairs, count = _find_longest(forms, own_forms)
    if count > 1:
        raise UsageError(
            f"layers cannot be aligned: the list `{escape_line(path.rstrip('.')) or 'network'}` has {len(ours)} "
            f"entries with weights here and {len(theirs)} in the source, and several are alike, so which are new "
            "cannot be told",
            help="choose them in Python: `network.load_state_dict({name: tensor, …}, strict=False)`, with this "
            "network's names and the tensors of `archspec.weights.read(FILE)`",
        )
    return {theirs[i][0]: ours[j][0] for i, j in pairs}


def _find_longest(theirs: list[object], ours: list[object]) -> tuple[list[tuple[int, int]], int]:
    """The longest sequence of pairs of equal entries, in order, and how many such sequences there are."""
    rows, columns = len(theirs), len(ours)
    # of what comes from row i and column j on: the length, how many there are, and the column of row i, if it has one
    best = [[(0, 1, -1)] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns + 1)):
            ways = [(best[i + 1][j][0], best[i + 1][j][1], -1)]
            for k in range(j, columns):
                if theirs[i] == ours[k]:
                    ways.append((1 + best[i + 1][k + 1][0], best[i + 1][k + 1][1], k))
            length = max(way[0] for way in ways)
            longest = [way for way in ways if way[0] == length]
            best[i][j] = length, sum(way[1] for way in longest), longest[0][2]
    pairs, j = [], 0
    for i in range(rows):
        if (k := best[i][j][2]) >= 0:
            pairs.append((i, k))
            j = k + 1
    return pairs, best[0][0][1]


def _signature(value: Tree | Tensor) -> object:
    """What two entries have in common that can stand for each other: the names and shapes of their tensors."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    return tuple(sorted((key, _signature(inner)) for key, inner in value.items() if key != "num_batches_tracked"))
