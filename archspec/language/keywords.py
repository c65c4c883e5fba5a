"""The words of the language, each in one place: what it means, what stands there, and an example.

Grammar and names, the JSON Schema, `archspec explain` and the tables of the documentation read them from here. Words
that belong to other floors have tables of their own: layers, merges, initialisers, functions of formulas, the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archspec.foundation.arguments import Schema, boolean, choice, either, integer, node, number, padding, pair
from archspec.foundation.schemas import as_written
from archspec.layers.merges import MERGE_RULES

NAME: Schema = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"}


@dataclass(frozen=True, slots=True)
class Keyword:
    """One word of the language."""

    doc: str
    """What it means, in a line."""
    takes: str = ""
    """What stands there, in words."""
    example: str = ""
    """A piece of a spec that uses it."""
    schema: Schema = field(default_factory=dict)
    """The JSON Schema of what stands there, where that does not depend on layers or other forms."""
    needed: bool = False
    """Whether it has to be given where it belongs."""
    modifiers: tuple[str, ...] = ()
    """Of the form of a node: the modifiers that may stand beside it."""
    companions: tuple[str, ...] = ()
    """Of the form of a node: the keys that belong to it alone."""


Keywords = Mapping[str, Keyword]

MODIFIERS: Keywords = {
    "name": Keyword(
        "The node's name in paths, in place of its position; for nodes in a list only.",
        "a word",
        "- {conv: {out: 8, kernel: 3}, name: stem}",
        NAME,
    ),
    "repeat": Keyword(
        "How many copies stand here, one after the other.",
        "an integer from 0",
        "- {conv: {out: 8, kernel: 3}, repeat: 2}",
        {"type": "integer", "minimum": 0},
    ),
    "when": Keyword(
        "If false, the node is left out.",
        "true or false",
        "- {dropout: 0.5, when: =c_in > 64}",
        boolean(),
    ),
    "init": Keyword(
        "Initial values for the layers of this node alone.",
        "as for the `init` of a file",
        "- {conv: {out: 8, kernel: 3}, init: {conv: {weight: zeros}}}",
    ),
    "recompute": Keyword(
        "If true, its activations are computed again in the backward pass, not kept.",
        "true or false",
        "- {conv: {out: 8, kernel: 3}, recompute: true}",
        boolean(),
    ),
    "share": Keyword(
        "Nodes of one body that share a name are one module, with the same weights; alone, it is that node once more.",
        "a name",
        "- {conv: {out: 8, kernel: 3, padding: 1}, share: step, repeat: 3}",
        NAME,
    ),
}
"""What may stand beside a node."""

FORMER = {"checkpoint": "recompute"}
"""What modifiers were called before, which is still read: each with what it is called now."""

ATTENTION = ("heads", "causal", "dropout")
"""What may stand beside `attend` alone."""
_ALL = tuple(MODIFIERS)
_BRANCHES = "branches: a list, or a mapping that names them, or made by a `for` or by a `load` of several"
_MERGE_EXAMPLES = {
    "concat": "- concat: [[], {conv: {out: 4, kernel: 1}}]",
    "add": "- add: {main: [relu, tanh], shortcut: []}",
    "subtract": "- subtract: [[], {avg_pool: {kernel: 3, stride: 1, padding: 1}}]",
    "multiply": "- multiply: {features: [], gate: [global_avg_pool, sigmoid]}",
    "mean": "- mean: [relu, tanh]",
    "maximum": "- maximum: [{conv: {out: 8, kernel: 1}}, {conv: {out: 8, kernel: 1}}]",
    "attend": "- tokens\n- attend: {query: [{linear: 8}], key: [{linear: 8}], value: []}",
    "matmul": "- matmul: [softmax, {permute: [0, 2, 1]}]",
}

NODE_KEYWORDS: Keywords = {
    "use": Keyword(
        "The layer, block or role of this name, which a formula may give.",
        "a layer's name, or a formula that gives one",
        "- {use: =gate, with: {out: 8, kernel: 1}}",
        {"type": "string"},
        modifiers=_ALL,
        companions=("with",),
    ),
    "for": Keyword(
        "A loop: one pass of the body for each row of the columns.",
        "columns: a mapping of names to lists; or rows: a list of mappings, or a table, `{as: names, rows: lists}`",
        "- {for: {width: [16, 32]}, body: [{conv: {out: =width, kernel: 3}}]}",
        modifiers=_ALL,
        companions=("let", "body"),
    ),
    "let": Keyword(
        "Values computed where they stand, for all that follows in the list or parts; beside `for`, for each pass.",
        "a mapping of names to values",
        "- let: {width: =2 * c_in}\n- conv: {out: =width, kernel: 3}\n- conv: {out: =width, kernel: 1}",
    ),
    **{
        name: Keyword(
            rule.doc,
            _BRANCHES,
            _MERGE_EXAMPLES.get(name, ""),
            modifiers=_ALL,
            companions=("split", "axis", *(ATTENTION if name == "attend" else ())),
        )
        for name, rule in MERGE_RULES.items()
    },
    "save": Keyword(
        "Keeps the tensor, under this name; beside a block of several outputs, those, each under a name.",
        "a name; beside a block, a list of names",
        "- save: features",
        modifiers=("when",),
    ),
    "load": Keyword(
        "Continues with the tensor that was saved under this name; beside a block of several inputs, a tensor each.",
        "a name; as branches of a merge, and beside a block, a list of names",
        "- load: features",
        modifiers=("when",),
    ),
    "output": Keyword(
        "The tensor is also an output of the network, of this name.",
        "a name",
        "- output: features",
        modifiers=("when",),
    ),
    "aux": Keyword(
        "An auxiliary classifier on the tensor, in training alone; its loss counts by the weight.",
        "`{name: …, weight: …, body: …}`",
        "- aux: {name: side, weight: 0.3, body: [flatten, {linear: 10}]}",
        modifiers=("when", "init"),
    ),
}
"""The forms of a node that are part of the language itself."""

COMPANIONS: Keywords = {
    "with": Keyword("The arguments of what `use` names.", "a mapping of arguments"),
    "body": Keyword(
        "What is repeated: the nodes of a `for`.", "a list of nodes, one node, or a mapping of named parts"
    ),
    "split": Keyword(
        "What reaches a merge is split, and each branch takes a part of it, in order.",
        "`equal`, or a list of sizes, one for each branch; `none` for no split",
        "- concat: {passed: [], new: [{conv: {out: 8, kernel: 1}}]}\n  split: equal",
        either(choice("equal", "none"), {"type": "array", "minItems": 1, "items": integer(1)}, {"type": "null"}),
    ),
    "axis": Keyword(
        "The axis that `concat` joins and `split` splits; the first, if not given.",
        "an integer from 0",
        "- concat: [[], {avg_pool: {kernel: 3, stride: 1, padding: 1}}]\n  axis: 2",
        integer(0, 3),
    ),
    "heads": Keyword(
        "How many heads attend, each with its share of the features.",
        "an integer from 1; 1, if not given",
        "- tokens\n- attend: {query: [], key: [{linear: 8}], value: [{linear: 6}]}\n  heads: 2",
        integer(1),
    ),
    "causal": Keyword(
        "If true, each token attends to itself and those before it; there are as many keys as queries.",
        "true or false; false, if not given",
        "- tokens\n- attend: {query: [], key: [{linear: 8}], value: [{linear: 6}]}\n  causal: true",
        boolean(),
    ),
    "dropout": Keyword(
        "Beside `attend`, sets each weight of the attention to zero with this probability, in training.",
        "a number ≥ 0 and < 1; 0, if not given",
        "- tokens\n- attend: {query: [], key: [{linear: 8}], value: [{linear: 6}]}\n  dropout: 0.1",
        number(0, below=1),
    ),
}
"""The keys that belong to one form of a node."""

FOR_KEYS: Keywords = {
    "as": Keyword(
        "The names of a table's columns.",
        "a list of names",
        "- for: {as: [width, kernel], rows: [[16, 3], [32, 5]]}\n"
        "  body: [{conv: {out: =width, kernel: =kernel, padding: same}}]",
        {"type": "array", "minItems": 1, "uniqueItems": True, "items": NAME},
        needed=True,
    ),
    "rows": Keyword(
        "The rows of a table, each of which has a value for every name.",
        "a list of lists, or of mappings, or a formula that gives one",
        "- for: {as: [width, kernel], rows: [[16, 3], [32, 5]]}\n"
        "  body: [{conv: {out: =width, kernel: =kernel, padding: same}}]",
        needed=True,
    ),
}
"""The keys of a table, in place of the columns of `for`."""

AUX_KEYS: Keywords = {
    "name": Keyword(
        "The key of its logits, and its name in paths.",
        "a word as for parts, or a formula that gives one",
        "",
        {"anyOf": [NAME, {"type": "string", "pattern": "^="}]},
        needed=True,
    ),
    "weight": Keyword(
        "How much its loss counts beside that of the output.", "a number from 0", "", number(0), needed=True
    ),
    "body": Keyword("What it is made of.", "a list of nodes, one node, or a mapping of named parts", needed=True),
}
"""The keys of `aux`."""

BRANCH_KEYS: Keywords = {
    "when": Keyword("If false, the branch is absent.", "true or false", "", boolean()),
    "body": Keyword(
        "What the branch is made of.", "a list of nodes, one node, or a mapping of named parts", needed=True
    ),
}
"""The keys of a branch that is written with a condition."""

ROLES: Keywords = {
    "act": Keyword("The activation that the file's `defaults` name.", example="defaults: {act: relu}\nnetwork: [act]"),
    "norm": Keyword(
        "The normalisation that the file's `defaults` name.", example="defaults: {norm: batch_norm}\nnetwork: [norm]"
    ),
}
"""Words that stand for the layer that a file's `defaults` give them."""

FILE_KEYS: Keywords = {
    "archspec": Keyword("The version of the language.", "`1`", "archspec: 1", needed=True),
    "extends": Keyword(
        "Another spec, over which this one is laid.",
        "a path to a file in this file's folder or below",
        "extends: base.yaml",
    ),
    "input": Keyword(
        "The shape of one sample; of several inputs, those of each, by its name.",
        "1 to 4 integers: `[channels, height, width]`, `[tokens, features]` or `[features]`; "
        "or a mapping of names to these",
        "input: {image: [3, 32, 32], depth: [1, 32, 32]}\nnetwork: [{concat: [[], {load: depth}]}]",
        needed=True,
    ),
    "network": Keyword(
        "The network.",
        "a list of nodes, or a mapping of named parts",
        "network: [{conv: {out: 8, kernel: 3}}, relu]",
        needed=True,
    ),
    "name": Keyword("The network's name, for people; without it, that of the file.", "a line of text", "name: Tiny"),
    "description": Keyword("What the network is, for people.", "a text", "description: A network to try things out."),
    "source": Keyword("The paper or page that it comes from.", "a line of text"),
    "vars": Keyword(
        "Named values, for formulas; a later one may use those above it.",
        "a mapping of names to values",
        "vars: {width: 16, wide: =2 * width}",
    ),
    "defaults": Keyword(
        "Default arguments of layers and blocks, and what the roles `act` and `norm` stand for.",
        "a mapping of layers and roles",
        "defaults: {act: relu, norm: batch_norm, conv: {bias: false}}",
    ),
    "blocks": Keyword(
        "Blocks of this file.",
        "a mapping of names to `{args: …, body: …}`",
        "blocks: {twice: {args: {width: 8}, body: [{conv: {out: =width, kernel: 1}}, relu]}}",
    ),
    "variants": Keyword(
        "Named partial specs, laid over this one.",
        "a mapping of names to sections of a spec",
        "vars: {width: 16}\nvariants: {wide: {vars: {width: 32}}}",
    ),
    "init": Keyword(
        "Initial values of parameters, by layer.",
        "`{layer: {parameter: value}}`; a value is a number, an initialiser's name, or `{name: {arguments}}`",
        "init: {conv: {weight: kaiming_normal, bias: 0}}",
    ),
    "expect": Keyword(
        "Figures that the author vouches for.",
        "a mapping of `params`, `gmacs` and `output`",
        "input: [3, 32, 32]\nnetwork: [{conv: {out: 8, kernel: 3}}]\nexpect: {params: 224}",
    ),
    "train": Keyword("The recipe for training.", "the keys of a recipe", "train: {epochs: 30, schedule: cosine}"),
}
"""The keys of a file."""

DATA_KEYS: Keywords = {
    "target": Keyword(
        "The column of a table that is to be learned, or several columns of numbers.",
        "a column's name, or a list of them",
        "train: {data: {name: people.csv, target: buys}}",
    ),
    "ignore": Keyword(
        "Columns of a table that are left out.",
        "a list of columns' names",
        "train: {data: {name: people.csv, ignore: [id]}}",
    ),
    "one_hot": Keyword(
        "Columns of a table each of whose values becomes a feature of 0 and 1.",
        "a list of columns' names",
        "train: {data: {name: people.csv, one_hot: [city]}}",
    ),
    "inputs": Keyword(
        "The columns of a table that each input of the network takes, by its name; `*` stands for any text in them.",
        "a mapping of names to a column's name, or a list of them",
        "train: {data: {name: people.csv, inputs: {person: [age, height], lab: [lab_*]}}}",
    ),
}
"""What may stand in the `data` of a recipe, beside `name`, where the data are a table."""

EXPECT_KEYS: Keywords = {
    "params": Keyword("The number of trainable parameters.", "an integer from 0", "", integer(0)),
    "gmacs": Keyword(
        "Multiply-accumulates of convolutions and linear layers for one sample, in billions; biases and "
        "normalisation are not counted.",
        "a number from 0",
        "",
        number(0),
    ),
    "output": Keyword("The shape of the output.", "1 to 4 integers"),
}
"""The keys of `expect`."""

BLOCK_KEYS: Keywords = {
    "doc": Keyword("What the block does, for people.", "a text", "", {"type": "string"}),
    "source": Keyword("Where it comes from, for people.", "a text", "", {"type": "string"}),
    "args": Keyword(
        "Its arguments; the first may be given alone at a call.",
        "a mapping of names",
        "",
        as_written({"type": "object"}),
    ),
    "vars": Keyword(
        "Variables of the file that it sees, by name: arguments whose values are theirs where a call gives no others.",
        "a list of names",
        "",
        as_written({"type": "array", "minItems": 1, "items": {"type": "string"}}),
    ),
    "inputs": Keyword(
        "The tensors that it takes, by name; a call lists them at `load`. The body begins with the first.",
        "a list of names",
        "",
        as_written({"type": "array", "minItems": 1, "items": {"type": "string"}}),
    ),
    "outputs": Keyword(
        "The tensors that it gives, by the names under which its body saves them; a call lists them at `save`.",
        "a list of names",
        "",
        as_written({"type": "array", "minItems": 1, "items": {"type": "string"}}),
    ),
    "let": Keyword(
        "Values computed once for each call, for use in `body`.",
        "a mapping of names to values",
        "",
        as_written({"type": "object"}),
    ),
    "body": Keyword(
        "What the block is made of.", "a list of nodes, one node, or a mapping of named parts", needed=True
    ),
    "example": Keyword("A call of it, for people.", "a text", "", {"type": "string"}),
}
"""The keys of a block's definition."""

ARGUMENT_TYPES: Keywords = {
    "integer": Keyword("An integer.", schema=integer()),
    "number": Keyword("An integer or float.", schema=number()),
    "boolean": Keyword("True or false.", schema=boolean()),
    "string": Keyword("A text.", schema={"type": "string"}),
    "list": Keyword("A list.", schema={"type": "array"}),
    "pair": Keyword("An integer, or a list of two (height, width); from 0 if no `minimum` is given.", schema=pair(0)),
    "padding": Keyword(
        "What `padding` of `conv` takes: an integer, [height, width], of which each may be [before, after], or `same`.",
        schema=padding(),
    ),
    "node": Keyword("A layer: a name, or `{name: arguments}`; `none` or null for no layer.", schema=node()),
}
"""The types that an argument of a block can have."""

ARGUMENT_KEYS: Keywords = {
    "type": Keyword(
        "The argument's type; without it, that of the default.",
        f"one of {', '.join(f'`{name}`' for name in ARGUMENT_TYPES)}",
        "",
        {"enum": list(ARGUMENT_TYPES)},
    ),
    "minimum": Keyword(
        "The least value of an integer or number, or of both numbers of a pair.", "a number", "", number()
    ),
    "maximum": Keyword(
        "The largest value of an integer or number, or of both numbers of a pair.", "a number", "", number()
    ),
    "enum": Keyword(
        "The values it may have, in place of the type's own rule.", "a list", "", {"type": "array", "minItems": 1}
    ),
    "default": Keyword("Its value where none is given; without it, the argument must be given.", "a value or formula"),
    "doc": Keyword("What it is, for people.", "a text", "", {"type": "string"}),
}
"""The keys of an argument's definition."""

INCOMING: Keywords = {
    "c_in": Keyword("The channels (or first axis) of the tensor that reaches the node."),
    "h_in": Keyword("The height of the feature map that reaches the node."),
    "w_in": Keyword("The width of the feature map that reaches the node."),
    "shape_in": Keyword("The shape of the tensor that reaches the node, a list."),
}
"""What a node's formulas see of the tensor that reaches it."""

LOOP: Keywords = {
    "index": Keyword("The number of the pass of the innermost `for` or `repeat`, from 0."),
    "first": Keyword("Whether this is the first pass of the innermost `for` or `repeat`."),
    "last": Keyword("Whether this is the last pass of the innermost `for` or `repeat`."),
}
"""What the innermost `for` or `repeat` gives to formulas."""
