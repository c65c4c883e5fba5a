"""A small wrong spec for each code of an error, and its cure: what `archspec explain CODE` shows.

Each is a piece of a spec whose input is 3×32×32; tests check the code of the wrong ones, and that the cures are valid.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mistake:
    """A piece of a spec that is wrong, and the same put right."""

    wrong: str
    right: str


MISTAKES = {
    "argument-missing": Mistake("network: [{conv: {out: 8}}]", "network: [{conv: {out: 8, kernel: 3}}]"),
    "argument-unknown": Mistake(
        "network: [{conv: {out: 8, kernal: 3}}]",
        "network: [{conv: {out: 8, kernel: 3}}]",
    ),
    "block-recursion": Mistake(
        "blocks:\n  again: {args: {n: 2}, body: [relu, {again: =n - 1, when: =n > 1}]}\nnetwork: [again]",
        "blocks:\n  again:\n    args: {n: {type: integer, minimum: 1, default: 2}}\n"
        "    body: [relu, {again: =n - 1, when: =n > 1}]\nnetwork: [again]",
    ),
    "branch-missing": Mistake("network: [{add: []}]", "network: [{add: [[], relu]}]"),
    "duplicate-key": Mistake("vars: {width: 8, width: 16}", "vars: {width: 8, wide: 16}"),
    "duplicate-name": Mistake(
        "network: [{relu: , name: stem}, {tanh: , name: stem}]", "network: [{relu: , name: stem}, {tanh: , name: body}]"
    ),
    "expect-unmet": Mistake(
        "network: [{conv: {out: 8, kernel: 3}}]\nexpect: {params: 216}  # and 8 of the bias",
        "network: [{conv: {out: 8, kernel: 3}}]\nexpect: {params: 224}",
    ),
    "formula-syntax": Mistake(
        "network: [{conv: {out: =c_in ** , kernel: 3}}]",
        "network: [{conv: {out: =c_in ** 2, kernel: 3}}]",
    ),
    "formula-type": Mistake(
        "network: [{conv: {out: =16 / 2, kernel: 3}}]  # `/` gives a float",
        "network: [{conv: {out: =16 // 2, kernel: 3}}]",
    ),
    "formula-value": Mistake(
        'vars: {widths: [8, 16]}\nnetwork: [{conv: {out: "=widths[2]", kernel: 3}}]',
        'vars: {widths: [8, 16]}\nnetwork: [{conv: {out: "=widths[1]", kernel: 3}}]',
    ),
    "init-shape": Mistake(
        "network: [{conv: {out: 8, kernel: 3}}]\ninit: {conv: {bias: kaiming_normal}}  # a vector has no fan",
        "network: [{conv: {out: 8, kernel: 3}}]\ninit: {conv: {weight: kaiming_normal, bias: 0}}",
    ),
    "input-shape": Mistake("network: [{linear: 10}]", "network: [flatten, {linear: 10}]"),
    "key-missing": Mistake(
        "network: [{aux: {name: side, body: [flatten, {linear: 10}]}}, relu]",
        "network: [{aux: {name: side, weight: 0.3, body: [flatten, {linear: 10}]}}, relu]",
    ),
    "key-unknown": Mistake("train: {epochs: 3, batchsize: 8}", "train: {epochs: 3, batch_size: 8}"),
    "loop-columns": Mistake(
        "network: [{for: {width: [8, 16], stride: [1]}, body: [{conv: {out: =width, kernel: 1, stride: =stride}}]}]",
        "network: [{for: {width: [8, 16], stride: [1, 2]}, body: [{conv: {out: =width, kernel: 1, stride: =stride}}]}]",
    ),
    "mapping-for-list": Mistake(
        "network:\n  conv: {out: 8, kernel: 3}\n  relu:", "network:\n  - conv: {out: 8, kernel: 3}\n  - relu"
    ),
    "name-reserved": Mistake("network: [{relu: , name: forward}]", "network: [{relu: , name: first}]"),
    "name-unknown": Mistake("network: [rellu]", "network: [relu]"),
    "node-form": Mistake(
        "network:\n  - conv: {out: 8, kernel: 3}\n    relu:", "network:\n  - conv: {out: 8, kernel: 3}\n  - relu"
    ),
    "out-of-range": Mistake("network: [{dropout: 50}]", "network: [{dropout: 0.5}]"),
    "shape-mismatch": Mistake(
        "network: [{add: {main: [{conv: {out: 8, kernel: 1}}], shortcut: []}}]",
        "network: [{add: {main: [{conv: {out: 8, kernel: 1}}], shortcut: [{conv: {out: 8, kernel: 1}}]}}]",
    ),
    "share-mismatch": Mistake(
        "network: [{add: [[{conv: {out: 8, kernel: 1}, share: a}], [{conv: {out: 8, kernel: 3}, share: a}]]}]",
        "network: [{add: [[{conv: {out: 8, kernel: 1}, share: a}], [relu, {share: a}]]}]",
    ),
    "share-unknown": Mistake(
        "network: [{add: [[{conv: {out: 8, kernel: 1}}], [relu, {share: a}]]}]",
        "network: [{add: [[{conv: {out: 8, kernel: 1}, share: a}], [relu, {share: a}]]}]",
    ),
    "share-unused": Mistake(
        "network: [{conv: {out: 8, kernel: 1}, share: a}]",
        "network: [{conv: {out: 3, kernel: 1}, share: a, repeat: 2}]",
    ),
    "tensor-count": Mistake(
        "blocks: {join: {inputs: [one, other], body: [{add: [[], {load: other}]}]}}\n"
        "network: [{save: early}, relu, join]",
        "blocks: {join: {inputs: [one, other], body: [{add: [[], {load: other}]}]}}\n"
        "network: [{save: early}, relu, {save: late}, {join: , load: [late, early]}]",
    ),
    "tensor-unknown": Mistake(
        "network: [relu, {add: [[], {load: early}]}]", "network: [{save: early}, relu, {add: [[], {load: early}]}]"
    ),
    "tensor-unused": Mistake(
        "network: [{save: early}, relu]", "network: [{save: early}, relu, {add: [[], {load: early}]}]"
    ),
    "too-large": Mistake(
        "network: [{conv: {out: 2000000000, kernel: 3}}]", "network: [{conv: {out: 2000, kernel: 3}}]"
    ),
    "type-mismatch": Mistake(
        "network: [{conv: {out: 8, kernel: 3, bias: no}}]  # `no` is a text",
        "network: [{conv: {out: 8, kernel: 3, bias: false}}]",
    ),
    "value-ambiguous": Mistake("vars: {seed: 010}  # 8 or 10?", "vars: {seed: 10}"),
    "variable-unknown": Mistake(
        "vars: {width: 8}\nblocks:\n  narrow: {body: [{conv: {out: =width, kernel: 1}}]}\nnetwork: [narrow]",
        "vars: {width: 8}\nblocks:\n  narrow: {args: {width: 4}, body: [{conv: {out: =width, kernel: 1}}]}\n"
        "network: [{narrow: =width}]",
    ),
    "version-unknown": Mistake(
        "archspec: 2\ninput: [3, 32, 32]\nnetwork: [relu]", "archspec: 1\ninput: [3, 32, 32]\nnetwork: [relu]"
    ),
    "yaml-feature": Mistake("vars: {seed: !!int 3}", "vars: {seed: 3}"),
    "yaml-syntax": Mistake(
        "network: [{conv: {out: =max(8, 16), kernel: 3}]",
        'network: [{conv: {out: "=max(8, 16)", kernel: 3}}]',
    ),
}
"""By code. Left out are those that depend on other files or on the command line."""
