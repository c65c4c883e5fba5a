"""The documentation holds: its examples are checked, its commands are run, and it leaves no name out."""

from __future__ import annotations

import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torchvision
import yaml
from torch.optim import lr_scheduler

from archspec.foundation import arguments, errors, formulas, source
from archspec.foundation.arguments import Signature
from archspec.foundation.errors import CODES, Fault
from archspec.foundation.source import Mapping
from archspec.language import document, extends
from archspec.language.blocks import TYPES, library_block, library_names
from archspec.language.extends import extended
from archspec.language.finder import bundled, variants
from archspec.language.names import COMPANION_WORDS, INCOMING, LOOP, MERGES, MODIFIERS, ROLES, VERBS
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.registry import primitives
from archspec.plan import elaborate
from archspec.recipe import recipe
from archspec.recipe.optimizers import OPTIMIZERS
from archspec.recipe.recipe import DEFAULTS
from archspec.spec import MAX_STEPS, SpecFile, load
from trainer import recipes

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
REFERENCE = {
    name: (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("language", "layers", "recipe", "data", "plugins", "errors")
}
BASE = """archspec: 1
input: [3, 32, 32]
defaults: {act: relu, norm: batch_norm}
network: [relu]
"""
RUN = {"check", "explain", "list"}
"""The commands whose output is held to what the documentation shows."""
NOT_RUN = {"build", "train", "schema"}


@dataclass(frozen=True)
class Fence:
    """A fenced block: where it begins, what stands after its backquotes, and the text inside."""

    file: str
    line: int
    info: str
    text: str
    name: str | None
    """The file that the line before names, as in "`net.yaml`:" or "`layers.py`:"."""

    @property
    def id(self) -> str:
        return f"{self.file}:{self.line}"


def fences(path: Path) -> Iterator[Fence]:
    lines = path.read_text(encoding="utf-8").splitlines()
    opened: int | None = None
    for number, line in enumerate(lines):
        if opened is None and line.startswith("```"):
            opened = number
        elif opened is not None and line == "```":
            before = " ".join(lines[max(0, opened - 2) : opened])
            named = re.search(r"`([\w-]+\.(?:yaml|py))`:\s*$", before)
            text = "\n".join(lines[opened + 1 : number]) + "\n"
            yield Fence(path.name, opened + 1, lines[opened][3:], text, named[1] if named else None)
            opened = None
    assert opened is None, f"{path.name}:{opened}: a fenced block is not closed"


FENCES = [fence for path in FILES for fence in fences(path)]
SOUND = [fence for fence in FENCES if fence.info == "yaml"]
WRONG = [fence for fence in FENCES if fence.info.startswith("yaml wrong")]
RECIPES = [fence for fence in FENCES if fence.info == "yaml recipe"]
NEEDING_FILES = [fence for fence in FENCES if fence.info == "yaml file"]
"""Specs that extend another file or need a plugin: a command that is shown checks them."""
PYTHON = [fence for fence in FENCES if fence.info == "python" and fence.name is None]
NEEDS_A_RUN = "load_from_checkpoint"
"""What no page can show without training first; `tests/test_training.py` holds it."""


@dataclass(frozen=True)
class Shown:
    """A command as the documentation shows it, and what it says that it prints."""

    fence: Fence
    command: str
    output: str


def shown() -> Iterator[Shown]:
    for fence in FENCES:
        if not fence.text.startswith("$ "):
            continue
        for part in re.split(r"^\$ ", fence.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("archspec "):
                yield Shown(fence, command, output)


COMMANDS = list(shown())
CHECKED = [one for one in COMMANDS if one.command.split()[1] in RUN]


def found_wrong(text: str) -> list[str]:
    """The codes of all that is wrong with an example: a whole spec, or a fragment laid over the base."""
    try:
        tree = source.read(text.encode(), "example.yaml")
        assert isinstance(tree, Mapping)
        if "archspec" not in tree.entries:
            base = source.read(BASE.encode(), "base.yaml")
            assert isinstance(base, Mapping)
            tree = document.merge(base, tree)
        tree = extended(tree, "example.yaml", "example.yaml")
    except Fault as fault:
        return [fault.code]
    return [diagnostic.code for diagnostic in SpecFile("example.yaml", "example", tree).check().diagnostics]


def in_backquotes() -> set[str]:
    """Everything in the reference that stands in backquotes, outside its examples."""
    text = "\n".join(REFERENCE.values())
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)))


def row(page: str, name: str) -> str:
    """The row of a page's tables that begins with a name in backquotes."""
    (found,) = re.findall(rf"^\| `{re.escape(name)}` \|.*$", REFERENCE[page], flags=re.MULTILINE)
    return str(found)


def keys_of(schema: Any) -> Iterator[str]:
    """Every key that a schema knows, at any depth."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from value
            yield from keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys_of(value)


def test_every_example_is_of_a_kind_that_is_checked() -> None:
    kinds = {fence.info for fence in FENCES if "yaml" in fence.info or "yml" in fence.info}
    assert kinds <= {"yaml", "yaml file", "yaml recipe", "yaml wrong", *(f"yaml wrong {code}" for code in CODES)}
    assert SOUND
    assert WRONG
    checked = {word for one in CHECKED for word in shlex.split(one.command) if one.command.startswith("archspec check")}
    assert {fence.name for fence in NEEDING_FILES} <= checked
    assert NEEDING_FILES


@pytest.mark.parametrize("fence", SOUND, ids=lambda fence: fence.id)
def test_an_example_is_sound(fence: Fence) -> None:
    assert found_wrong(fence.text) == []


@pytest.mark.parametrize("fence", RECIPES, ids=lambda fence: fence.id)
def test_an_example_of_a_recipes_file_is_sound(fence: Fence, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(fence.text, encoding="utf-8")
    assert load(tmp_path / "net.yaml", recipe=tmp_path / "mine.yaml").recipe == yaml.safe_load(fence.text)


@pytest.mark.parametrize("fence", WRONG, ids=lambda fence: fence.id)
def test_an_example_of_wrong_input_is_refused_with_its_code(fence: Fence) -> None:
    codes = found_wrong(fence.text)
    expected = fence.info.removeprefix("yaml wrong").strip()
    assert set(codes) == {expected} if expected else codes


def test_every_command_that_is_shown_exists_and_those_that_need_no_torch_are_run() -> None:
    assert {one.command.split()[1] for one in COMMANDS} <= RUN | NOT_RUN
    assert all(one.fence.info in ("console", "") for one in COMMANDS)
    hidden = [fence.id for fence in FENCES if fence.info == "console" and not fence.text.startswith("$ ")]
    assert hidden == []
    assert CHECKED


def run_beside_named_files(fence: Fence, folder: Path, *command: str) -> str:
    """What a process prints in a folder that holds the files which the page has named so far."""
    for earlier in FENCES:
        if earlier.file == fence.file and earlier.line < fence.line and earlier.name:
            (folder / earlier.name).write_text(earlier.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.stdout


@pytest.mark.parametrize("one", CHECKED, ids=lambda one: f"{one.fence.id} {one.command}")
def test_a_command_prints_what_is_shown(one: Shown, tmp_path: Path) -> None:
    assert run_beside_named_files(one.fence, tmp_path, "-m", "archspec", *shlex.split(one.command)[1:]) == one.output


@pytest.mark.parametrize("fence", PYTHON, ids=lambda fence: fence.id)
def test_python_runs_as_shown(fence: Fence, tmp_path: Path) -> None:
    """Its `assert`s hold, and it fails nowhere."""
    if NEEDS_A_RUN in fence.text:
        pytest.skip("it reads what a training wrote")
    assert run_beside_named_files(fence, tmp_path, "-c", fence.text) == ""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(document.schemas()), id="keys of a file"),
        pytest.param([*primitives()], id="primitives"),
        pytest.param([*library_names()], id="blocks of the library"),
        pytest.param([*INITIALIZERS], id="initialisers"),
        pytest.param([name for one in INITIALIZERS.values() for name in one.arguments], id="initialisers' arguments"),
        pytest.param([*formulas.FUNCTIONS, *formulas.CONSTANTS], id="functions and constants of formulas"),
        pytest.param([*INCOMING, *LOOP], id="what formulas see"),
        pytest.param(sorted({*VERBS, *MERGES, *MODIFIERS, *ROLES, *COMPANION_WORDS}), id="words of the language"),
        pytest.param([*TYPES], id="types of arguments"),
        pytest.param(sorted(set(keys_of(recipe.SCHEMA))), id="keys of the recipe"),
        pytest.param([*CODES], id="codes of errors"),
    ],
)
def test_no_name_is_left_out(names: list[str]) -> None:
    assert sorted(set(names) - in_backquotes()) == []


def signatures() -> Iterator[tuple[Signature, str]]:
    yield from ((one.signature, one.doc) for one in primitives().values())
    yield from ((library_block(name).signature, library_block(name).doc) for name in library_names())


@pytest.mark.parametrize(("signature", "doc"), signatures(), ids=lambda one: getattr(one, "owner", ""))
def test_the_tables_have_every_layer_with_its_arguments_and_defaults(signature: Signature, doc: str) -> None:
    _, _, said, arguments_said, _ = row("layers", signature.owner).split("|")
    assert said.strip() == doc
    assert re.findall(r"`(\w+)`", arguments_said) == [argument.name for argument in signature.arguments]
    for argument in signature.arguments:
        written = re.search(rf"`{argument.name}`(.*?)(?:, `|$)", arguments_said)
        assert written is not None
        if argument.required:
            assert written[1].strip() == ""
        elif isinstance(argument.default, str):
            assert written[1].strip() == argument.default
        else:
            value = yaml.safe_load(re.sub(r"(\d)e-", r"\1.0e-", written[1].replace("none", "null")))
            assert (type(value), value) == (type(argument.default), argument.default)


def test_the_readme_counts_the_networks_right() -> None:
    """A file with variants holds these; one without is a network itself. All are known by name."""
    named = variants()
    count = len(named) + len(set(bundled()) - set(named.values()))
    theirs = torchvision.models.list_models(module=torchvision.models)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f" {count} come with it: all {len(theirs)} classification models of torchvision" in text
    assert set(theirs) <= set(named)


def test_the_results_are_of_the_networks_that_are_there() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^archspec train (.*) --recipe quick$", text, re.M)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    results = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert [result["spec"] for result in results] == command.split() == ["googlenet", "resnet", "preact", "densenet"]
    for result in results:
        assert float(result["test accuracy"].removesuffix("%")) >= 97
        # digits are brought to colour, and have ten classes as the images of these networks have
        assert int(result["parameters"].replace(",", "")) == load(result["spec"]).plan.params


@pytest.mark.parametrize("key", DEFAULTS)
def test_the_recipes_defaults_are_those_that_hold(key: str) -> None:
    said = row("recipe", key).split("|")[-2].strip().strip("`")
    assert yaml.safe_load(said) == DEFAULTS[key]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_of_optimizers_has_their_arguments(name: str) -> None:
    said = re.findall(r"`(\w+)`", row("recipe", name))[1:]
    assert {*said, "lr"} == set(OPTIMIZERS[name])


@pytest.mark.parametrize("name", recipe.OPTIONS["schedule"])
def test_the_table_of_schedules_has_their_arguments(name: str) -> None:
    schema = recipe.OPTIONS["schedule"][name]
    said = row("recipe", name).split("|")[-2]
    assert re.findall(r"`(\w+)`", said) == list(schema["properties"])
    assert re.findall(r"`(\w+)`, needed", said) == schema["required"]
    torchs = {"multi_step": "MultiStepLR", "step": "StepLR", "cosine": "CosineAnnealingLR", "one_cycle": "OneCycleLR"}
    defaults = inspect.signature(getattr(lr_scheduler, torchs.get(name, "ExponentialLR"))).parameters
    for key, value in re.findall(r"`(\w+)` ([\w.]+)", said):
        assert yaml.safe_load(value) == defaults[key].default


def test_the_recipes_that_come_along_are_listed() -> None:
    for name in recipes.names():
        row("recipe", name)


@pytest.mark.parametrize("code", CODES)
def test_the_codes_mean_what_explain_says(code: str) -> None:
    assert row("errors", code) == f"| `{code}` | {CODES[code]} |"


def test_the_limits_are_those_that_hold() -> None:
    limits = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|$", REFERENCE["language"].partition("\n## Limits\n")[2], re.MULTILINE
    )
    values = [re.sub(r" (bytes|levels.*|characters|operations)$", "", value) for _, value in limits[1:]]
    assert values == [
        f"{source.MAX_BYTES:,}",
        f"{source.MAX_VALUES:,}",
        f"{source.MAX_DEPTH}",
        f"{extends.MAX_FILES}",
        f"{formulas.MAX_LENGTH:,}",
        f"{formulas.MAX_DEPTH}",
        f"{formulas.MAX_ITEMS:,}",
        f"{formulas.MAX_NESTING}",
        {2**63 - 1: "below 2⁶³"}[formulas.MAX_INTEGER],
        f"{formulas.MAX_VALUES:,}",
        f"{formulas.MAX_WORK:,}",
        f"{arguments.LARGEST:,}",
        f"{elaborate.MAX_PASSES:,}",
        f"{elaborate.MAX_STEPS:,}",
        f"{MAX_STEPS:,}",
        f"{elaborate.MAX_NODES:,}",
        f"{elaborate.MAX_LEVELS}",
        {2**40: "2⁴⁰"}[elaborate.MAX_VALUES],
        f"{document.MAX_STEPS}",
        f"{errors.MAX_DIAGNOSTICS}",
    ]
