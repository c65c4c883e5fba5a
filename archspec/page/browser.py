"""The page's answers where Python runs in the browser, by Pyodide."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any

from archspec.page.answers import answer


def answer_json(request: str) -> str:
    """`answer`, of and as JSON."""
    return json.dumps(answer(json.loads(request)))


class _Map(dict[Any, Any]):
    @classmethod
    def convert(cls, value: Any) -> _Map:
        return value if isinstance(value, cls) else cls(value)

    def insert(self, key: Any, value: Any) -> _Map:
        return _Map({**self, key: value})

    def remove(self, key: Any) -> _Map:
        return _Map({known: value for known, value in self.items() if known != key})

    def update(self, *others: Any) -> _Map:  # type: ignore[override]
        found = dict(self)
        for other in others:
            found.update(other)
        return _Map(found)


class _Set(frozenset[Any]):
    def insert(self, item: Any) -> _Set:
        return _Set(self | {item})

    def remove(self, item: Any) -> _Set:
        return _Set(self - {item})

    def update(self, *others: Any) -> _Set:
        return _Set(self.union(*others))


class _List(tuple[Any, ...]):
    def push_front(self, item: Any) -> _List:
        return _List((item, *self))


def provide_rpds() -> None:
    """Give jsonschema what it takes of rpds, which is compiled and may not be there: maps that are never changed."""
    try:
        import rpds  # noqa: F401
    except ModuleNotFoundError:
        module: Any = ModuleType("rpds")
        module.HashTrieMap, module.HashTrieSet, module.List = _Map, _Set, _List
        sys.modules["rpds"] = module


provide_rpds()
