"""What `archspec new` writes for each task: a network and its training, below the lines that all begin with."""

from __future__ import annotations

_FEATURES = """\
input: {input}  # channels, height and width of an image; every other shape follows from it
vars: {vars}  # formulas take them: `=width`{follows}
defaults: {{act: relu, norm: batch_norm}}  # the activation and the normalisation of all blocks

# The layers in the order of execution; `archspec list` shows all, `archspec explain resnet` one.
network:
  stem:
    - conv_norm_act: {{out: =width}}  # a convolution, a normalisation, an activation
  stages:
    # one pass for each width; all but the first halve the height and the width
    for: {{width: "=[width, 2 * width, 4 * width]"}}
    body:
      - resnet: {{width: =width, stride: =1 if first else 2}}  # two convolutions beside a shortcut
  head:
    - global_avg_pool
    - flatten
    - linear: {head}

# The same network with other values: `--variant wide` chooses it.
variants:
  wide: {{vars: {{width: 64}}}}

# How it is trained; `archspec explain optimizer` says what a word means, docs/recipe.md has all.
train:
{train}"""


def starter(input: str, head: str, train: str) -> str:
    """A residual network that ends in one number for each class or target."""
    has_classes = "num_classes" in head
    return _FEATURES.format(
        input=input,
        vars="{num_classes: 10, width: 32}" if has_classes else "{width: 32}",
        follows="; `num_classes` follows the data" if has_classes else "",
        head=head,
        train=train,
    )


CLASSIFICATION = starter(
    "[1, 8, 8]",
    "=num_classes",
    """\
  data: digits  # a data set by its name, or a folder with a subfolder of images for each class
  epochs: 10
  batch_size: 64
  validation: 0.2  # the share of the training images that chooses the best epoch
  optimizer: {name: adamw, lr: 2e-3, weight_decay: 1e-2}
  schedule: cosine
""",
)

MULTI_LABEL = starter(
    "[3, 64, 64]",
    "=num_classes",
    """\
  task: multi_label
  data: ./photos  # a folder of images with `labels.csv`: its lines are `file,labels`, then `beach.png,sea sun`
  epochs: 20
  batch_size: 32
  validation: 0.2  # the share of the training images that chooses the best epoch
  augment:
    - horizontal_flip
  optimizer: {name: adamw, lr: 1e-3, weight_decay: 1e-2}
  schedule: cosine
""",
)

REGRESSION = starter(
    "[3, 64, 64]",
    "1  # how many numbers each image has",
    """\
  task: regression
  data: ./photos  # a folder of images with `targets.csv`: its lines are `file,area`, then `cell.png,17.5`
  epochs: 20
  batch_size: 32
  validation: 0.2  # the share of the training images that chooses the best epoch
  optimizer: {name: adamw, lr: 1e-3, weight_decay: 1e-2}
  schedule: cosine
""",
)

SEGMENTATION = """\
input: [3, 48, 48]  # channels, height and width of an image; every other shape follows from it
vars: {num_classes: 11, widths: [16, 32, 64], levels: [first, second, third]}  # `num_classes` follows the data
defaults: {act: relu, norm: batch_norm}  # the activation and the normalisation of all blocks

# What is used more than once is a block, with arguments of its own.
blocks:
  double:
    args: {width: {type: integer, minimum: 1}}
    body:
      - conv_norm_act: {out: =width}
        repeat: 2

# A U-Net: down to a small map of many channels, and up again beside what each level of the way down has saved.
network:
  down:
    for: {width: =widths, level: =levels}
    body:
      - double: =width
      - save: =level
      - max_pool: 2
  bottom:
    - double: "=2 * widths[-1]"
  up:
    for: {width: "=widths[::-1]", level: "=levels[::-1]"}
    body:
      - conv_transpose: {out: =width, kernel: 2, stride: 2}
      - concat: {same_level: {load: =level}, from_below: []}
      - double: =width
  head: {conv: {out: =num_classes, kernel: 1}}  # a number for each class and pixel

# How it is trained; `archspec explain optimizer` says what a word means, docs/recipe.md has all.
train:
  data: digit_scenes  # a data set by its name, or a folder with `images` and `masks`
  epochs: 5
  batch_size: 32
  validation: 0.1  # the share of the training images that chooses the best epoch
  loss: [cross_entropy, dice]
  optimizer: {name: adamw, lr: 4e-3, weight_decay: 1e-2}
  schedule: one_cycle
"""

IMAGE_REGRESSION = """\
input: [1, 32, 32]  # channels, height and width of an image; every other shape follows from it
vars: {width: 24, depth: 4}  # formulas take them: `=width`
defaults: {act: relu, norm: batch_norm}  # the activation and the normalisation of all blocks

# The layers in the order of execution; `archspec list` shows all, `archspec explain conv_norm_act` one.
network:
  # the output is as large as the input, less what the branch finds to be noise
  subtract:
    image: []
    noise:
      - conv_norm_act: {out: =width, norm: none, bias: true}  # a convolution, a normalisation, an activation
      - conv_norm_act: {out: =width}
        repeat: =depth
      - conv: {out: 1, kernel: 3, padding: 1}

# The same network with other values: `--variant deep` chooses it.
variants:
  deep: {vars: {depth: 8}}

# How it is trained; `archspec explain optimizer` says what a word means, docs/recipe.md has all.
train:
  data: noisy_digits  # a data set by its name, or a folder with `images` and `targets`
  epochs: 10
  batch_size: 32
  validation: 0.1  # the share of the training images that chooses the best epoch
  optimizer: {name: adamw, lr: 2e-3, weight_decay: 1e-4}
  schedule: one_cycle
"""
