"""The canonical form of specs: it says the same, keeps all comments, and is its own canonical form."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from conftest import ROOT
from hypothesis import given, settings, strategies as st

from archspec.foundation import reading
from archspec.foundation.errors import Fault
from archspec.language.finder import bundled, folder
from archspec.spec import open_file
from archspec.writing.canonical import format_spec

BUNDLED = [
    *(f"{folder()}/{name}.yaml" for name in bundled()),
    *map(str, sorted((ROOT / "archspec" / "layers" / "blocks").glob("*.yaml"))),
    *map(str, sorted((ROOT / "trainer" / "recipes").glob("*.yaml"))),
]


def form(text: str) -> str:
    return format_spec(text.encode(), "net.yaml")


@pytest.mark.parametrize("file", BUNDLED, ids=lambda file: file.removeprefix(str(ROOT)))
def test_bundled_files_are_in_canonical_form(file: str) -> None:
    with open(file, "rb") as opened:
        content = opened.read()
    assert format_spec(content, file) == content.decode()


def plans(file: Path) -> list[str]:
    """The plans of all variants, less the lines and columns."""
    checked = open_file(str(file))[0].check()
    assert not checked.diagnostics
    return [re.sub(r'"(line|column)": \d+|yaml:\d+:\d+', "", json.dumps(spec.plan.to_dict())) for spec in checked.specs]


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled()[::3])
def test_another_layout_of_a_spec_has_its_plans(name: str, tmp_path: Path) -> None:
    shutil.copytree(folder(), tmp_path, dirs_exist_ok=True)  # with those that it extends
    file = tmp_path / f"{name}.yaml"
    before = plans(file)
    events = []
    for event in yaml.parse(file.read_text(encoding="utf-8")):
        if isinstance(event, yaml.CollectionStartEvent):
            event.flow_style = not event.flow_style
        if isinstance(event, yaml.ScalarEvent) and not event.style and not event.value:
            event.value = "null"  # PyYAML writes no empty values
        events.append(event)
    made = form(yaml.emit(events, width=60, allow_unicode=True))
    assert made != file.read_text(encoding="utf-8")
    file.write_text(made, encoding="utf-8")
    assert plans(file) == before


# --- any YAML that a spec may hold ---

WORDS = ["a", "=width // 2", "=max(1, 2)", "x: y", "# no", "it's", 'say "hi"', "two  spaces", " lead", "trail ", "-"]
WORDS += ["line\nbreak", "para\n\nother\n", "keep\n\n", "", "null", "1e-3", "0x10", "- a", "{", "a\\b", "\ttab", "\x07"]
WORDS += ["  indented\nblock\n", "long " * 40 + "end", "é×"]
KEYS = ["conv", "add", "k ey", "a b:", "x", "'q", "repeat", "10", "norm"]


def tree(random: Random, depth: int) -> Any:
    kind = random.random()
    if depth == 0 or kind < 0.4:
        return random.choice([*WORDS, 3, 0.5, True, None])
    count = random.randrange(4)
    if kind < 0.7:
        return [tree(random, depth - 1) for _ in range(count)]
    return {f"{random.choice(KEYS)}{i}": tree(random, depth - 1) for i in range(count)}


def written(random: Random, data: Any) -> str:
    """A tree as YAML of many styles, its equal parts as anchors and aliases."""

    class Dumper(yaml.SafeDumper):
        def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
            return super().represent_sequence(tag, sequence, flow_style=random.random() < 0.3)

        def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
            return super().represent_mapping(tag, mapping, flow_style=random.random() < 0.3)

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, indentless and random.random() < 0.5)

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, random.choice(["", "'", '"', "|", ">"]))

    Dumper.add_representer(str, text)
    width, indent = random.choice([30, 80, 200]), random.choice([2, 3, 4])
    return yaml.dump(data, Dumper=Dumper, width=width, indent=indent, allow_unicode=True, sort_keys=False)


def said(text: str) -> Any:
    """What a text says, by PyYAML's composer; `None` where it is refused."""

    def content(node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return [(content(key), content(value)) for key, value in node.value]
        return (node.tag, [content(n) for n in node.value] if isinstance(node, yaml.SequenceNode) else node.value)

    try:
        reading.read(text.encode(), "net.yaml")
        return content(yaml.compose(text, Loader=yaml.SafeLoader))
    except (Fault, yaml.YAMLError):
        return None


def disturbed(random: Random, text: str, number: int) -> str:
    """A text with a comment, a blank line or a line break more, where it says the same afterwards."""
    lines = text.split("\n")
    at = random.randrange(len(lines))
    line, remark, indent = lines[at], f"# remark {number}.", " " * random.randrange(9)
    kind = random.randrange(4)
    if kind == 0:
        lines[at:at] = [indent + remark]
    elif kind == 1:
        lines[at:at] = [""] * random.randrange(1, 3)
    elif kind == 2:
        lines[at] = f"{line}  {remark}"
    else:
        cut = random.randrange(len(line) + 1)
        lines[at : at + 1] = [line[:cut] + random.choice(["", f" {remark}"]), indent + line[cut:]]
    changed = "\n".join(lines)
    return changed if said(changed) == said(text) else text


@settings(max_examples=80, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_file_says_the_same_afterwards_with_all_its_comments(random: Random) -> None:
    shared = tree(random, 2)
    text = written(random, {"net": tree(random, 4), "first": shared, "again": [shared, shared]})
    if said(text) is None:
        return
    for number in range(8):
        text = disturbed(random, text, number)
    made = form(text)
    assert said(made) == said(text)
    assert sorted(re.findall(r"# remark \d\.", made)) == sorted(re.findall(r"# remark \d\.", text))
    assert form(made) == made


# --- the rules, one by one ---

RULES = {
    "two spaces to a level, and lists below their key": (
        "net:\n- a\n-    b:\n       c: 1\n",
        "net:\n  - a\n  - b:\n      c: 1\n",
    ),
    "one space after colons and commas, none within brackets": (
        "a: { b: 1,c: [ 1,2 ] , d: { } }\n",
        "a: {b: 1, c: [1, 2], d: {}}\n",
    ),
    "a flow collection stands on one line where it has room": ("a: {\n  b: 1,\n  c: 2,\n}\n", "a: {b: 1, c: 2}\n"),
    "one that is too long is broken, the outer one first": (
        f"a: {{b: {{c: {'x' * 50}}}, d: [{'y' * 50}, {{e: 1}}]}}\n",
        f"a:\n  b: {{c: {'x' * 50}}}\n  d: [{'y' * 50}, {{e: 1}}]\n",
    ),
    "a list of scalars fills lines": (
        f"a: [{', '.join(['1234567'] * 20)}]\n",
        f"a: [{', '.join(['1234567'] * 13)},\n  {', '.join(['1234567'] * 7)}]\n",
    ),
    "running text that is too long is folded": (
        f"doc: {'many words ' * 12}end\n",
        f"doc: >-\n  {'many words ' * 10}many\n  words many words end\n",
    ),
    "text over several lines stands on one where it has room": (
        "doc: one\n  two\nx: 'a\n  b'\n",
        'doc: one two\nx: "a b"\n',
    ),
    "a formula is not broken": (f"a: =1{' + 1' * 40}\n", f"a: =1{' + 1' * 40}\n"),
    "double quotes, where nothing has to be escaped": ("a: 'x: y'\nb: 'say \"hi\"'\n", 'a: "x: y"\nb: \'say "hi"\'\n'),
    "numbers stay as they are written": ("a: [1e-3, 0.10, 0x1F, +1]\n", "a: [1e-3, 0.10, 0x1F, +1]\n"),
    "values aligned by a person stay aligned": (
        "for:\n    as:     [1, 2]\n    kernel: [3, 4]\n    x: 1\n",
        "for:\n  as:     [1, 2]\n  kernel: [3, 4]\n  x: 1\n",
    ),
    "one blank line at most, and none at the beginning of a block or file": (
        "\n\na: 1\n\n\nb:\n\n  c: 1\n\n",
        "a: 1\n\nb:\n  c: 1\n",
    ),
    "comments stand where they stood": (
        "# top\na:   # of a\n    # of b\n    b: 1   # beside b\n    # end of a\n# of c\nc: [1, # one\n  2]\n# last\n",
        "# top\na:  # of a\n  # of b\n  b: 1  # beside b\n  # end of a\n# of c\nc:\n  - 1  # one\n  - 2\n# last\n",
    ),
    "an empty value stays empty": ("a: [{b: , c: 1}]\nd:\n", "a: [{b: , c: 1}]\nd:\n"),
    "anchors stay": ("a: &x   {b: 1}\nc: *x\n", "a: &x {b: 1}\nc: *x\n"),
    "the order of keys stays": ("network: [relu]\narchspec: 1\n", "network: [relu]\narchspec: 1\n"),
    "the line ends of a file stay": ("a: { b: 1 }\r\nc: 2\r\n", "a: {b: 1}\r\nc: 2\r\n"),
    "a file ends in one line end, and has no byte order mark": ("\ufeffa: 1", "a: 1\n"),
}


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    before, after = RULES[rule]
    assert form(before) == after
    assert form(after) == after
    assert max(map(len, after.splitlines())) <= 120 or "formula" in rule


def test_what_is_no_yaml_is_refused_as_check_refuses_it() -> None:
    with pytest.raises(Fault, match=re.escape("this is not YAML: did not find expected ',' or ']'")):
        form("archspec: 1\nnetwork: [conv: 3\n")
