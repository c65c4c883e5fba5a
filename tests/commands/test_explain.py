"""`archspec explain` as people read it: a whole output for each kind of word."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from archspec.commands._explain_training import words as training_words
from archspec.commands.explain import command
from archspec.foundation.errors import SpecError, UsageError
from archspec.language.glossary import words
from archspec.language.vocabulary import library_names
from archspec.layers.registry import primitives

SPEC = """archspec: 1
name: Own
input: [8, 16, 16]
blocks:
  gate:
    doc: Weighs each channel.
    args: {width: {type: integer, minimum: 1, doc: output channels}, act: {type: node, default: sigmoid}}
    body:
      - conv: {out: =width, kernel: 1}

      - use: =act
    example: "gate: 8"

  plain: {body: [relu]}
network: [{gate: 4}, plain]
"""


def explain(*arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


@pytest.mark.parametrize("word", dict.fromkeys([*words(), *primitives(), *library_names()]))
def test_every_word_is_explained(word: str) -> None:
    assert explain(word).startswith((f"{word}: ", f"{word} (", f"error[{word}]: "))


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "use",
            "use (a form of a node): The layer, block or role of this name, which a formula may give.\n\n"
            "takes: a layer's name, or a formula that gives one\n"
            "its own key: `with`\n"
            "beside it: `name`, `repeat`, `when`, `init`, `recompute`, `share`\n\n"
            "example:\n  - {use: =gate, with: {out: 8, kernel: 1}}\n",
        ),
        (
            "add",
            "add (a form of a node): The sum of the branches.\n\n"
            "takes: branches: a list, or a mapping that names them, or made by a `for` or by a `load` of several\n"
            "its own keys: `split`, `axis`\n"
            "beside it: `name`, `repeat`, `when`, `init`, `recompute`, `share`\n\n"
            "example:\n  - add: {main: [relu, tanh], shortcut: []}\n",
        ),
        (
            "recompute",
            "recompute (a modifier, beside a node): If true, its activations are computed again in the backward pass, "
            "not kept.\n\ntakes: true or false\n\nexample:\n  - {conv: {out: 8, kernel: 3}, recompute: true}\n",
        ),
        (
            "checkpoint",
            "checkpoint (a modifier, beside a node): What `recompute` was called before; it is still read.\n",
        ),
        (
            "act",
            "act (a role): The activation that the file's `defaults` name.\n\n"
            "example:\n  defaults: {act: relu}\n  network: [act]\n",
        ),
        (
            "network",
            "network (a key of a file): The network.\n\n"
            "takes: a list of nodes, or a mapping of named parts, needed\n\n"
            "example:\n  network: [{conv: {out: 8, kernel: 3}}, relu]\n",
        ),
        (
            "pair",
            "pair (a type of a block's argument): An integer, or a list of two (height, width); from 0 if no "
            "`minimum` is given.\n\n"
            "pair (a function of formulas): An integer for height and width as a list of two; a list of two as it is.\n\n"
            "calls: pair(x)\n",
        ),
        ("c_in", "c_in (a variable of formulas): The channels (or first axis) of the tensor that reaches the node.\n"),
        ("none", "none (a constant of formulas): Nothing: null, or no layer.\n"),
        (
            "round",
            "round (a function of formulas): The nearest integer (halves go to the even one); with digits, a "
            "float.\n\ncalls: round(x), round(x, digits)\n",
        ),
        (
            "constant",
            "constant (an initialiser): One number, `val`: never by its name alone.\n\n"
            "arguments:\n  val  a number; required\n\n"
            "example:\n  init: {conv: {weight: {constant: {val: 1}}}}\n",
        ),
        (
            "ema",
            "ema (a key of a recipe): `{decay: N}`: an exponential moving average of the weights, which keeps a share "
            "`decay` of itself each `every` steps.\n\ntakes: `{decay: N}` or none\n",
        ),
        (
            "every",
            "every (a key of a recipe's `ema`): After how many steps it is updated.\n\n"
            "takes: an integer ≥ 1\ndefault: 1\n",
        ),
        (
            "rprop",
            "rprop (an optimizer of a recipe): Steps by the sign of each gradient; a step grows while the sign stays, "
            "and shrinks where it changes.\n\n"
            "arguments:\n  lr          a number > 0\n  etas        a list of 2 values\n"
            "  step_sizes  a list of 2 values\n\nexample:\n  train: {optimizer: rprop}\n",
        ),
        (
            "crop",
            "crop (a way of resizing of a recipe): The shorter side is brought to `size` pixels, 8/7 of the input's if "
            "not given, and the centre is cut out.\n\n"
            "arguments:\n  size           an integer ≥ 1\n  interpolation  one of `bilinear`, `bicubic`\n\n"
            "example:\n  train: {resize: crop}\n",
        ),
        (
            "step",
            "step (a schedule of a recipe): The rate is multiplied by `gamma` every `step_size` epochs.\n\n"
            "arguments:\n  step_size  an integer ≥ 1; required\n  gamma      a number > 0\n\n"
            "example:\n  train: {schedule: {name: step, step_size: 10}}\n\n"
            "step (an argument): Its meaning depends on what takes it.\n\n"
            "where it stands:\n  slice  step between the positions that are kept; an integer ≥ 1; default 1\n",
        ),
        (
            "trivial_augment",
            "trivial_augment (an augmentation of a recipe): Applies one of 14 operations at a random magnitude from "
            "wide ranges.\n\narguments:\n"
            "  num_magnitude_bins  into how many magnitudes each range is divided; an integer ≥ 2; default 31\n\n"
            "source: https://arxiv.org/abs/2103.10158\n\nexample:\n  train: {augment: [trivial_augment]}\n",
        ),
        (
            "name-unknown",
            "error[name-unknown]: no primitive, block, role or part of the network has this name\n\n"
            "wrong:\n  network: [rellu]\n\nright:\n  network: [relu]\n",
        ),
        (
            "momentum_decay",
            "momentum_decay (an argument): Its meaning depends on what takes it.\n\n"
            "where it stands:\n  nadam  a number ≥ 0\n",
        ),
        (
            "init",
            "init (a modifier, beside a node): Initial values for the layers of this node alone.\n\n"
            "takes: as for the `init` of a file\n\n"
            "example:\n  - {conv: {out: 8, kernel: 3}, init: {conv: {weight: zeros}}}\n\n"
            "init (a key of a file): Initial values of parameters, by layer.\n\n"
            "takes: `{layer: {parameter: value}}`; a value is a number, an initialiser's name, or "
            "`{name: {arguments}}`\n\n"
            "example:\n  init: {conv: {weight: kaiming_normal, bias: 0}}\n\n"
            "init (an argument): Its meaning depends on what takes it.\n\n"
            "where it stands:\n  prelu  the slope to begin with; a number from -1 to 1; default 0.25\n",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_what_is_said(word: str, says: str) -> None:
    assert explain(word) == says


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (
            "segmentation",
            "segmentation (a task of a recipe): Each pixel is of one class, to which the network gives the greatest logit."
            "\n\nlearns: the class of each pixel\n"
            "measures: `mean_iou`, `dice`; the first chooses the best weights\n"
            "losses: `cross_entropy`, `dice`, `focal`, `tversky`; the first is its own\n\n"
            "example:\n  train: {task: segmentation}\n",
        ),
        (
            "svhn",
            "svhn (a data set): SVHN: digits cut from photographs of house numbers, in colour, of 32×32 pixels.\n\n"
            "lies: `--data-folder`, or fetched by `--download`\n\nexample:\n  train: {data: svhn}\n",
        ),
        (
            "val_accuracy",
            "val_accuracy (a metric): The share of images whose class is right.\n\n"
            "of: `classification`\nbetter: greater values\n\nexample:\n  train: {monitor: val_accuracy}\n",
        ),
        (
            "focal",
            "focal (a loss of a recipe): Cross-entropy times `(1 - p)^gamma`, which weighs what is already right less."
            "\n\narguments:\n  gamma   a number ≥ 0\n"
            "  weight  `balanced`, or `{class: weight}`, weights above 0\n\n"
            "of: `classification`, `segmentation`\nsource: https://arxiv.org/abs/1708.02002\n\n"
            "example:\n  train: {loss: focal}\n",
        ),
    ],
)
def test_what_is_said_of_trainings(word: str, says: str) -> None:
    assert explain(word) == says


@pytest.mark.parametrize(
    ("word", "meant"), [("clasification", "classification"), ("acuracy", "accuracy"), ("digts", "digits")]
)
def test_words_of_trainings_are_met_by_the_nearest(word: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(word)
    assert str(caught.value) == f"there is no word `{word}` in the language\n  help: did you mean `{meant}`?"


def test_every_metric_and_data_set_says_what_it_is() -> None:
    for word in training_words():
        assert explain(word).partition(": ")[2][0].isupper(), word


def test_a_layer_that_is_an_argument_too_has_both_meanings() -> None:
    said = explain("scale")
    assert said.startswith("scale: Multiplies by a constant.\n")
    assert "\n\nscale (an argument): " in said


@pytest.mark.parametrize("word", [" relu", "`relu`", "'relu'"])
def test_what_stands_around_a_copied_word_is_left_out(word: str) -> None:
    assert explain(word) == explain("relu")
    assert explain("error[shape-mismatch]") == explain("shape-mismatch")


@pytest.mark.parametrize(("word", "meant"), [("warmpu", "warmup"), ("torch.nn.Linear", "linear")])
def test_an_unknown_word_is_met_by_the_nearest(word: str, meant: str) -> None:
    with pytest.raises(UsageError) as caught:
        explain(word)
    assert (caught.value.message, caught.value.help) == (
        f"there is no word `{word}` in the language",
        f"did you mean `{meant}`?",
    )


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text(SPEC, encoding="utf-8")
    return Path("own.yaml")


def test_a_specs_own_block_is_explained(own: Path) -> None:
    assert explain("gate", "--in", "own.yaml") == (
        "gate: Weighs each channel.\n\n"
        "arguments, the first of which may be given alone:\n"
        "  width  output channels; an integer ≥ 1; required\n"
        "  act    a layer's name, or `{name: arguments}`; default sigmoid\n\n"
        "example: - gate: 8\n"
        "its definition, own.yaml:5:3:\n"
        "  gate:\n"
        "    doc: Weighs each channel.\n"
        "    args: {width: {type: integer, minimum: 1, doc: output channels}, act: {type: node, default: sigmoid}}\n"
        "    body:\n"
        "      - conv: {out: =width, kernel: 1}\n"
        "  \n"
        "      - use: =act\n"
        '    example: "gate: 8"\n'
    )
    assert explain("plain", "--in", "own.yaml") == (
        "plain: a block that says nothing of itself\n\narguments: none\n\n"
        "its definition, own.yaml:14:3:\n  plain: {body: [relu]}\n"
    )


@pytest.mark.parametrize(
    ("word", "spec", "message", "help"),
    [
        ("gaet", "own.yaml", "own.yaml has no block `gaet` of its own", "did you mean `gate`?"),
        ("conv", "own.yaml", "own.yaml has no block `conv` of its own", "its blocks are `gate`, `plain`"),
        ("gate", "digits", "specs/digits.yaml has no block `gate` of its own", "it has none"),
        ("gate", "ohne.yaml", "cannot read ohne.yaml: there is no such file", None),
    ],
)
def test_a_spec_without_such_a_block_says_so(own: Path, word: str, spec: str, message: str, help: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        explain(word, "--in", spec)
    assert caught.value.message == message
    assert caught.value.help == help or help is None


def test_a_spec_that_is_wrong_says_what_is(own: Path) -> None:
    own.write_text(SPEC.replace("gate: 4", "gaet: 4"), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        explain("gate", "--in", "own.yaml")
    assert [one.code for one in caught.value.diagnostics] == ["name-unknown"]
