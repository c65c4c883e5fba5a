"""A network as one readable file of Python that imports torch alone, made of its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archspec.exports._format import Format, Model, Options, Written

if TYPE_CHECKING:
    from archspec.plan.plan import Plan


class Python(Format):
    name = "python"
    doc = "readable code with a class for each block, which imports torch alone and takes the network's state_dict"
    suffix = ".py"
    is_text = True
    holds_weights = False
    keeps_aux = True

    def write(self, model: Model, path: str, options: Options) -> Written:
        text = write(model.plan)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        lines = text.count("\n")
        name = class_name(model.plan)
        return Written(None, (f"class {name}, {lines:,} lines",), {"class": name, "lines": lines})


def write(plan: Plan) -> str:
    """The text of a Python file with a network as a class; `file.write` says more."""
    from archspec.exports.python.file import write

    return write(plan)


def class_name(plan: Plan) -> str:
    """The name of the network's class."""
    from archspec.exports.python.file import class_name

    return class_name(plan)


FORMAT = Python()
