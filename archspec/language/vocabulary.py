"""The vocabulary of nodes: primitives, the blocks of the library, and those of a file's own `blocks:` section."""

from __future__ import annotations

import os
from functools import cache

from archspec.foundation.arguments import Signature
from archspec.foundation.errors import LIBRARY, Fault
from archspec.foundation.reading import read
from archspec.foundation.report import Report
from archspec.foundation.source import Mapping, Value, is_left_empty
from archspec.language.blocks import Block, define_block
from archspec.language.keywords import BLOCK_KEYS
from archspec.language.names import ROLES, check_block
from archspec.language.syntax import SyntaxNode
from archspec.layers.primitive import Primitive
from archspec.layers.registry import primitives

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "layers", "blocks")


@cache
def library_names() -> tuple[str, ...]:
    """The names of the library's blocks."""
    return tuple(sorted(file[:-5] for file in os.listdir(FOLDER) if file.endswith(".yaml")))


@cache
def library_block(name: str) -> Block:
    """A block of the library."""
    with open(os.path.join(FOLDER, f"{name}.yaml"), "rb") as file:
        value = read(file.read(), f"{LIBRARY}{name}.yaml")
    report = Report()
    block = define_block(name, value.mark, value, report)
    if report.diagnostics:
        raise AssertionError("\n".join(d.render() for d in report.diagnostics))
    return block


@cache
def library_body(name: str) -> SyntaxNode:
    """The body of a block of the library, which sees the library alone."""
    report = Report()
    node = library_block(name).parse(Vocabulary({}), report)
    if report.diagnostics or node is None:
        raise AssertionError("\n".join(d.render() for d in report.diagnostics))
    return node


class Vocabulary:
    """What nodes of a file may name: primitives, the library's blocks, and the blocks of the file itself."""

    def __init__(self, own: dict[str, Block]) -> None:
        self.own = own

    def find(self, name: str) -> Primitive | Block | None:
        if name in self.own:
            return self.own[name]
        if name in primitives():
            return primitives()[name]
        return library_block(name) if name in library_names() else None

    def signature(self, name: str) -> Signature | None:
        found = self.find(name)
        return found.signature if found else None

    def words(self) -> list[str]:
        return [*primitives(), *library_names(), *self.own, *ROLES]


def define_blocks(section: Value | None, report: Report) -> dict[str, Block]:
    """The blocks of a file's `blocks:` section. Reports what is wrong with them."""
    blocks: dict[str, Block] = {}
    empty = ""
    for name, (mark, value) in section.entries.items() if isinstance(section, Mapping) else ():
        if empty and name in BLOCK_KEYS:
            message = f"`{name}` stands beside the block `{empty}`, not below it"
            report.add(Fault("key-unknown", message, mark, help=f"indent what belongs to `{empty}`"))
            continue
        empty = name if is_left_empty(value) else ""
        taken = "a primitive" if name in primitives() else "a block of the library" if name in library_names() else None
        try:
            check_block(name, mark, taken)
        except Fault as fault:
            report.add(fault)
        block = define_block(name, mark, value, report)
        if not taken:
            blocks[name] = block
    return blocks
