"""The documentation holds: its examples are checked, its commands are run, and it leaves no name out."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torchvision
import yaml
from forks import Command, run_forked
from torch.optim import lr_scheduler

from archspec.foundation import arguments, formulas, reading, report, source, values as bounds
from archspec.foundation.codes import CODES
from archspec.foundation.errors import Fault
from archspec.foundation.source import Mapping
from archspec.language import document, extends, overlay, settings
from archspec.language.extends import resolve_extends
from archspec.language.finder import bundled, variants
from archspec.language.keywords import ARGUMENT_TYPES
from archspec.language.names import COMPANION_WORDS, INCOMING, LOOP, MERGES, MODIFIERS, NODE_WORDS, ROLES
from archspec.language.vocabulary import library_names
from archspec.layers.initializers import INITIALIZERS
from archspec.layers.registry import primitives
from archspec.plan import calls, elaborate
from archspec.recipe import OPTIONS, SCHEMA, Recipe
from archspec.spec import MAX_STEPS, SpecFile, load
from archspec.views.space import Space, read_space
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
PARTS = """network:
  stem: [conv: {out: 8, kernel: 3}]
  stages: {for: {width: [8, 16]}, body: [conv: {out: =width, kernel: 3}]}
  head: [global_avg_pool, flatten, linear: 4]"""
"""A network whose parts recipes may name."""
RUN = {"compare", "fit", "summary", "check", "explain", "list", "diff"}
"""The commands whose output is held to what the documentation shows."""
NOT_RUN = {"serve", "playground", "build", "draw", "export", "new", "train", "schema", "runs", "test", "predict"}
"""The others; those of the tutorial are run in their order, as a reader does."""


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
SPACES = [fence for fence in FENCES if fence.info == "yaml space"]
NEEDING_FILES = [fence for fence in FENCES if fence.info == "yaml file"]
"""Specs that extend another file or need a plugin: a command that is shown checks them."""
TUTORIALS = ("tutorial.md", "fine-tuning.md")
"""The pages whose files, commands and Python are run in their order."""
TUTORIAL = [fence for fence in FENCES if fence.file in TUTORIALS]
PYTHON = [fence for fence in FENCES if fence.info == "python" and fence.name is None and fence not in TUTORIAL]
NEEDS_A_RUN = "load_from_checkpoint"
"""What no page can show without training first; the tutorial does."""
API = sorted((ROOT / "docs" / "api").glob("*.md"))
DOCUMENTED = [name for page in API for name in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.M)]
PUBLIC = ["archspec", "archspec.weights", "archspec.primitive", "archspec.plugins", "trainer.module"]


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
        tree = reading.read(text.encode(), "example.yaml")
        assert isinstance(tree, Mapping)
        if "archspec" not in tree.entries:
            base = reading.read(BASE.encode(), "base.yaml")
            assert isinstance(base, Mapping)
            tree = overlay.merge(base, tree)
        tree = resolve_extends(tree, "example.yaml", "example.yaml")
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
    assert kinds <= {
        "yaml",
        "yaml file",
        "yaml recipe",
        "yaml space",
        "yaml wrong",
        *(f"yaml wrong {code}" for code in CODES),
    }
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
    (tmp_path / "net.yaml").write_text(BASE.replace("network: [relu]", PARTS), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(fence.text, encoding="utf-8")
    recipe = load(tmp_path / "net.yaml", recipe=tmp_path / "mine.yaml").recipe
    assert recipe == Recipe.from_dict(yaml.safe_load(fence.text))


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


def write_named_files(fence: Fence, folder: Path) -> None:
    """Write the files which the page has named so far."""
    for earlier in FENCES:
        if earlier.file == fence.file and earlier.line < fence.line and earlier.name:
            (folder / earlier.name).write_text(earlier.text, encoding="utf-8")


def run_beside_named_files(fence: Fence, folder: Path, *command: str) -> str:
    """What a process prints in a folder that holds the files which the page has named so far."""
    write_named_files(fence, folder)
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


def without_figures(text: str) -> str:
    """An output less what differs from machine to machine: its figures, and how wide they make a table."""
    return re.sub(r" +$", "", re.sub(r"[━─ ]+", " ", re.sub(r"\d[\d.,]*", "0", text)), flags=re.M)


@pytest.mark.slow
@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(("page", "least"), [("tutorial.md", 9), ("fine-tuning.md", 4)])
def test_a_tutorial_holds_from_its_first_line_to_its_last(page: str, least: int, tmp_path: Path) -> None:
    """Its files, commands and Python in their order, in one folder."""
    environment = os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
    commands = 0
    for fence in TUTORIAL:
        if fence.file != page:
            continue
        if fence.name:
            (tmp_path / fence.name).write_text(fence.text, encoding="utf-8")
            continue
        steps = [("", fence.text, "")] if fence.info == "python" else []
        if fence.info == "console":
            parts = re.split(r"^\$ ", fence.text, flags=re.MULTILINE)[1:]
            steps = [(command, "", output) for command, _, output in (part.partition("\n") for part in parts)]
        for command, code, output in steps:
            words = shlex.split(command)[1:] if command else ["-c", code]
            if command.startswith(("archspec train", "archspec test", "archspec predict", "archspec build")):
                done = run_forked(words, tmp_path, together=True, COLUMNS="100")
            else:
                program = ["-m", "archspec"] if command.startswith("archspec ") else []
                done = subprocess.run(
                    [sys.executable, *program, *words],
                    cwd=tmp_path,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    encoding="utf-8",
                    timeout=300,
                )
            pattern = re.escape(without_figures(output)).replace("…\\\n", "(?:.*\n)*")  # whole lines are left out
            assert re.fullmatch(pattern, without_figures(done.stdout)), f"{command or code}\n{done.stdout}"
            assert done.returncode == ("error[" in output)
            commands += bool(command)
    assert commands >= least


@pytest.mark.parametrize("page", [*FILES, *API], ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in slugs, target


def of_path(path: str) -> Any:
    """What a dotted path of the Python reference names."""
    found: Any = None
    for name in path.split("."):
        found = getattr(found, name, None) or import_module(name if found is None else f"{found.__name__}.{name}")
    return found


@pytest.mark.parametrize("module", PUBLIC)
def test_the_python_reference_has_every_public_name(module: str) -> None:
    missing = {f"{module}.{name}" for name in of_path(module).__all__} - set(DOCUMENTED)
    assert missing == set()


@pytest.mark.parametrize("path", DOCUMENTED)
def test_a_public_docstring_names_every_argument(path: str) -> None:
    """Those of functions, and of the methods that a class itself has. Constants have no arguments."""
    thing = of_path(path)
    functions = [thing] if inspect.isfunction(thing) else []
    if inspect.isclass(thing):
        assert thing.__doc__
        functions = [one for name, one in vars(thing).items() if inspect.isfunction(one) and not name.startswith("_")]
        functions = functions if path != "trainer.module.SpecModule" else [thing.forward, thing.normalize]
    for function in functions:
        doc = inspect.getdoc(function) or ""
        assert doc, function
        arguments = [name for name in inspect.signature(function).parameters if name != "self"]
        said = re.findall(r"^    (\w+): ", doc.partition("Args:\n")[2].partition("\n\n")[0], re.M)
        assert said == arguments, function


@pytest.mark.parametrize("fence", SPACES, ids=lambda fence: fence.id)
def test_an_example_of_a_space_is_one_of_resnet(fence: Fence) -> None:
    content = reading.read(fence.text.encode(), "space.yaml")
    assert isinstance(read_space(content, dict(load("imagenet/resnet").plan.vars)), Space)


@pytest.mark.slow
@pytest.mark.parametrize("one", CHECKED, ids=lambda one: f"{one.fence.id} {one.command}")
def test_a_command_prints_what_is_shown(one: Shown, tmp_path: Path) -> None:
    assert run_beside_named_files(one.fence, tmp_path, "-m", "archspec", *shlex.split(one.command)[1:]) == one.output


@pytest.mark.slow
@pytest.mark.parametrize("fence", PYTHON, ids=lambda fence: fence.id)
def test_python_runs_as_shown(fence: Fence, tmp_path: Path) -> None:
    """Its `assert`s hold, and it fails nowhere."""
    if NEEDS_A_RUN in fence.text:
        pytest.skip("it reads what a training wrote")
    write_named_files(fence, tmp_path)
    script = tmp_path / f"{fence.id.replace('/', ' ')}.py"
    script.write_text(fence.text, encoding="utf-8")
    process = Command([], tmp_path, together=True, script=str(script))
    out, _ = process.communicate(120)
    assert (process.returncode, out) == (0, "")


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(list(document.section_schemas()), id="keys of a file"),
        pytest.param([*primitives()], id="primitives"),
        pytest.param([*library_names()], id="blocks of the library"),
        pytest.param([*INITIALIZERS], id="initialisers"),
        pytest.param([name for one in INITIALIZERS.values() for name in one.arguments], id="initialisers' arguments"),
        pytest.param([*formulas.FUNCTIONS, *formulas.CONSTANTS], id="functions and constants of formulas"),
        pytest.param([*INCOMING, *LOOP], id="what formulas see"),
        pytest.param(sorted({*NODE_WORDS, *MERGES, *MODIFIERS, *ROLES, *COMPANION_WORDS}), id="words of the language"),
        pytest.param([*ARGUMENT_TYPES], id="types of arguments"),
        pytest.param(sorted(set(keys_of(SCHEMA))), id="keys of the recipe"),
        pytest.param([*CODES], id="codes of errors"),
    ],
)
def test_no_name_is_left_out(names: list[str]) -> None:
    assert sorted(set(names) - in_backquotes()) == []


def tables() -> ModuleType:
    """The program that writes the tables which the code holds."""
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_that_the_code_gives() -> None:
    """Where one is not: `python docs/tables.py` writes them anew."""
    made = tables()
    for page in REFERENCE.values():
        assert made.written(page) == page
    marked = re.findall(r"^<!-- table: (\S+) -->$", "\n".join(REFERENCE.values()), re.MULTILINE)
    assert sorted(marked) == sorted(made.TABLES)


def test_a_table_that_is_out_of_date_is_written_anew() -> None:
    page = "before\n<!-- table: merges -->\n| merge |\n<!-- end -->\nafter\n"
    assert tables().written(page) == (
        "before\n<!-- table: merges -->\n"
        "| merge | result | the branches need |\n"
        "|---|---|---|\n"
        "| `concat` | The branches, joined along the first axis, the channels, or along another. | equal shapes but for the channels, or the `axis` |\n"
        "| `add` | The sum of the branches. | equal shapes |\n"
        "| `subtract` | The first branch minus the second. | two branches of equal shapes |\n"
        "| `multiply` | The product of the branches. | equal shapes, or axes of 1 |\n"
        "| `mean` | The mean of the branches. | equal shapes |\n"
        "| `maximum` | The largest of the branches' values, at each place. | equal shapes |\n"
        "| `matmul` | The matrix product of two branches, over their last two axes. "
        "| two branches, `…×n×k` and `…×k×m` |\n"
        "| `attend` | Attention of queries to keys and values: softmax(Q·Kᵀ / √k + bias)·V, for each of `heads`. | "
        "three branches, of queries `T×k`, keys `S×k` and values `S×v`, and may take a bias `heads×T×S`; "
        "`heads` divides k and v, and with `causal` T is S |\n"
        "<!-- end -->\nafter\n"
    )


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
    (command,) = re.findall(r"^archspec train (.*) --recipe quick --exact$", text, re.M)
    table = text[text.index("\n| ") : text.index("\n\n", text.index("\n| "))].strip()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    results = [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]
    assert [result["spec"] for result in results] == command.split() == ["googlenet", "resnet", "preact", "densenet"]
    for result in results:
        assert float(result["test accuracy"].removesuffix("%")) >= 97
        # digits are brought to colour, and have ten classes as the images of these networks have
        assert int(result["parameters"].replace(",", "")) == load(result["spec"]).plan.params


@pytest.mark.parametrize("name", OPTIONS["schedule"])
def test_the_table_of_schedules_has_their_arguments(name: str) -> None:
    schema = OPTIONS["schedule"][name]
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


def test_the_limits_are_those_that_hold() -> None:
    limits = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|$", REFERENCE["language"].partition("\n## Limits\n")[2], re.MULTILINE
    )
    values = [re.sub(r" (bytes|levels.*|characters|operations)$", "", value) for _, value in limits[1:]]
    assert values == [
        f"{reading.MAX_BYTES:,}",
        f"{source.MAX_VALUES:,}",
        f"{source.MAX_DEPTH}",
        f"{extends.MAX_FILES}",
        f"{formulas.MAX_LENGTH:,}",
        f"{bounds.MAX_DEPTH}",
        f"{bounds.MAX_ITEMS:,}",
        f"{bounds.MAX_NESTING}",
        {2**63 - 1: "below 2⁶³"}[bounds.MAX_INTEGER],
        f"{bounds.MAX_VALUES:,}",
        f"{bounds.MAX_WORK:,}",
        f"{arguments.LARGEST:,}",
        f"{elaborate.MAX_PASSES:,}",
        f"{elaborate.MAX_STEPS:,}",
        f"{MAX_STEPS:,}",
        f"{elaborate.MAX_NODES:,}",
        f"{elaborate.MAX_LEVELS}",
        {2**40: "2⁴⁰"}[calls.MAX_VALUES],
        f"{settings.MAX_KEYS}",
        f"{report.MAX_DIAGNOSTICS}",
    ]
