"""The language server as an editor meets it: a real process that speaks the real protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any

import pytest
from editors import Editor, applied, length, session
from fuzz import mutant_of_lines
from lsprotocol import types

from archspec.foundation.errors import SpecError
from archspec.spec import open_file

NET = """\
archspec: 1
name: Ünïcode 😀 net
input: [3, 8, 8]
vars: {width: 16}
defaults: {act: relu, norm: batch_norm}
blocks:
  twice:
    args: {channels: 8}
    body:
      - conv: {out: =channels, kernel: 1}
      - save: kept
      - relu
      - add: [load: kept, []]
network:
  stem: [{conv: {out: =width, kernel: 3}}]
  stages:
    for: {factor: [1, 2]}
    body: [twice: "=len('😀') * factor * width"]
  head: [global_avg_pool, flatten, linear: 10]
variants:
  wide: {vars: {width: 32}}
"""


@pytest.fixture
def edit(tmp_path: Path) -> Callable[[Callable[[Editor], Coroutine[Any, Any, None]]], None]:
    """Runs what an editor does, against a server of its own."""
    return lambda script: asyncio.run(session(tmp_path / "net.yaml", script))


def test_what_an_editor_asks_for_is_answered(edit: Callable[..., None], tmp_path: Path) -> None:
    async def script(editor: Editor) -> None:
        assert await editor.open(NET) == []
        client, document = editor.client, editor.document
        everything = types.Range(types.Position(0, 0), types.Position(100, 0))
        hints = await client.text_document_inlay_hint_async(types.InlayHintParams(document, everything))
        assert [(one.position.line + 1, one.label) for one in hints or ()] == [
            (10, "16×6×6 → 32×6×6 ×2, 816 parameters, 27.6 KMACs"),
            (11, "16×6×6 → 32×6×6 ×2"),
            (12, "16×6×6 → 32×6×6 ×2"),
            (13, "16×6×6 → 32×6×6 ×2"),
            (14, "3×8×8 → 10, 1,594 parameters, 43.5 KMACs"),
            (15, "3×8×8 → 16×6×6, 448 parameters, 15.6 KMACs"),
            (16, "16×6×6 → 32×6×6, 816 parameters, 27.6 KMACs"),
            (17, "16×6×6 → 32×6×6 ×2, 816 parameters, 27.6 KMACs"),
            (18, "16×6×6 → 32×6×6 ×2, 816 parameters, 27.6 KMACs"),
            (19, "32×6×6 → 10, 330 parameters, 320 MACs"),
        ]
        lens = await client.text_document_code_lens_async(types.CodeLensParams(document))
        assert [(one.range.start.line + 1, one.command.title) for one in lens or () if one.command] == [
            (14, "3×8×8 → 10 · 1,594 parameters · 43.5 KMACs"),
            (21, "3×8×8 → 10 · 4,714 parameters · 142 KMACs"),
        ]
        said = await client.text_document_hover_async(types.HoverParams(document, editor.at("* factor * width", 11)))
        assert said is not None
        assert said.contents.value.startswith("**width**, a variable: `16`, `32` in `wide`\n\nhere: 16×6×6")  # type: ignore[union-attr]
        where = types.DefinitionParams(document, editor.at('twice: "=len'))
        assert [one.range.start.line for one in await client.text_document_definition_async(where) or ()] == [6]  # type: ignore[union-attr]
        where = types.DefinitionParams(document, editor.at("add: [load"))
        assert await client.text_document_definition_async(where) == []
        asked = types.ReferenceParams(types.ReferenceContext(True), document, editor.at("save: kept", 7))
        found = await client.text_document_references_async(asked)
        assert [(one.range.start.line, one.range.start.character) for one in found or ()] == [(10, 14), (12, 20)]
        symbols = await client.text_document_document_symbol_async(types.DocumentSymbolParams(document))
        shown = {one.name: [child.name for child in one.children or ()] for one in symbols or ()}  # type: ignore[union-attr]
        assert shown["network"] == ["stem", "stages", "head"]
        assert (shown["blocks"], shown["variants"], shown["vars"]) == (["twice"], ["wide"], ["width"])
        folds = await client.text_document_folding_range_async(types.FoldingRangeParams(document))
        assert [(one.start_line, one.end_line) for one in folds or ()] == [
            (5, 12),
            (6, 12),
            (8, 12),
            (13, 18),
            (15, 17),
            (19, 20),
        ]

    edit(script)


def test_renaming_leaves_the_network_as_it_is(edit: Callable[..., None], tmp_path: Path) -> None:
    async def script(editor: Editor) -> None:
        await editor.open(NET)
        before = figures(tmp_path, NET)
        for place, new in (
            ("vars: {width: 16", "base"),
            ("twice:\n", "pair"),
            ("save: kept", "held"),
            ("{factor: [1", "by"),
        ):
            shift = len(place) - len(place.lstrip()) + (place.find(": ") + 2 if place.startswith("save") else 0)
            shift = {"vars: {width: 16": 7, "{factor: [1": 1}.get(place, shift)
            asked = types.RenameParams(editor.document, editor.at(place, shift), new)
            changed = await editor.client.text_document_rename_async(asked)
            assert changed is not None
            assert changed.changes is not None
            text = applied(editor.text, changed.changes[editor.uri])
            assert text != editor.text
            assert await editor.change(text) == []
            assert figures(tmp_path, text) == before
        assert "vars: {base: 16}" in editor.text
        assert "wide: {vars: {base: 32}}" in editor.text
        assert "body: [pair: \"=len('😀') * by * base\"]" in editor.text
        assert "add: [load: held, []]" in editor.text
        with pytest.raises(Exception, match="`c_in` cannot name a variable"):
            await editor.client.text_document_rename_async(
                types.RenameParams(editor.document, editor.at("* by * base", 8), "c_in")
            )

    edit(script)


def figures(folder: Path, text: str) -> list[Any]:
    (folder / "saved.yaml").write_text(text, encoding="utf-8")
    specs = open_file(str(folder / "saved.yaml"))[0].check().specs
    return [(one.plan.params, one.plan.macs, one.plan.output, one.variant) for one in specs]


def test_mistakes_are_said_as_check_says_them_and_mended(edit: Callable[..., None], tmp_path: Path) -> None:
    mistakes = [
        ("kernel: 3}}]", "kernle: 3}}]", "write `kernel`"),
        ("head: [global_avg_pool, flatten, linear: 10]", "head:\n    flatten: {}\n    linear: 10", "make it a list"),
        ("* factor * width", "* factor * widht", "write `width`"),
        ("add: [load: kept, []]", "addd: [load: kept, []]", "write `add`"),
    ]

    async def script(editor: Editor) -> None:
        await editor.open(NET)
        for right, wrong, cure in mistakes:
            found = await editor.change(NET.replace(right, wrong))
            (tmp_path / "saved.yaml").write_text(editor.text, encoding="utf-8")
            said = open_file(str(tmp_path / "saved.yaml"))[0].check().diagnostics
            assert [one.code for one in found] == [one.code for one in said]
            for one, other in zip(found, said, strict=True):
                for line in one.message.splitlines():
                    assert line.replace("net.yaml", str(tmp_path / "saved.yaml")) in other.render()
            asked = types.CodeActionParams(editor.document, found[0].range, types.CodeActionContext(found))
            actions = await editor.client.text_document_code_action_async(asked)
            titles = [one.title for one in actions or ()]
            assert cure in titles
            action = (actions or [])[titles.index(cure)]
            await editor.change(applied(editor.text, action.edit.changes[editor.uri]))  # type: ignore[union-attr, index]
            assert await editor.change(editor.text + "# mended\n") == []

    edit(script)


def test_a_file_is_formatted_as_fmt_does_and_completed(edit: Callable[..., None]) -> None:
    async def script(editor: Editor) -> None:
        client, document = editor.client, editor.document
        await editor.open(NET.replace("vars: {width: 16}", "vars:   { width:   16 }"))
        asked = types.DocumentFormattingParams(document, types.FormattingOptions(2, True))
        edits = await client.text_document_formatting_async(asked)
        assert applied(editor.text, edits) == NET
        cases = [
            ("  stem: [{conv: {out: =width, ", {"kernel", "stride", "padding"}, {"relu", "width"}),
            ("  stem: [{conv: {out: =wi", {"width", "c_in", "max"}, {"kernel"}),
            ("  stem: [{conv_norm_act: {out: 8, act: ", {"relu", "gelu", "none"}, {"kernel"}),
            ("  more:\n    - tw", {"twice", "conv", "for", "concat"}, {"kernel"}),
        ]
        for written, there, absent in cases:
            text = NET.replace("  stem: [{conv: {out: =width, kernel: 3}}]", written)
            await editor.change(text)
            at = text.index(written) + len(written)
            line = text.count("\n", 0, at)
            place = types.Position(line, at - (text.rfind("\n", 0, at) + 1))
            found = await client.text_document_completion_async(types.CompletionParams(document, place))
            words = {one.label for one in found or ()}  # type: ignore[union-attr]
            assert there <= words
            assert not absent & words

    edit(script)


@pytest.mark.slow
@pytest.mark.parametrize("units", [["utf-8", "utf-16", "utf-32"], ["utf-32", "utf-16"], ["utf-16"]])
def test_columns_are_counted_as_the_editor_counts_them(units: list[str], tmp_path: Path) -> None:
    """Neovim and Helix prefer UTF-8; 😀 is 4 units of it, 2 of UTF-16 and 1 of UTF-32."""
    text = NET.replace("* width", "* widht")

    async def script(editor: Editor) -> None:
        wrong = (await editor.open(text))[0]
        start, stop = editor.at("factor * widht"), editor.at("factor * widht", 14)
        assert (wrong.range.start.line, stop.line) == (start.line, start.line)
        assert wrong.range.start.character <= start.character
        context = types.CodeActionContext([wrong])
        asked = types.CodeActionParams(editor.document, wrong.range, context)
        action = (await editor.client.text_document_code_action_async(asked) or [])[0]
        mended = applied(text, action.edit.changes[editor.uri], units[0])  # type: ignore[index, union-attr]
        assert mended == NET
        assert await editor.change(mended) == []
        everything = types.Range(types.Position(0, 0), types.Position(100, 0))
        hints = await editor.client.text_document_inlay_hint_async(types.InlayHintParams(editor.document, everything))
        ends = [one.position.character for one in hints or () if one.position.line == 17]
        assert ends == [length(NET.splitlines()[17], units[0])]
        asked_name = types.RenameParams(editor.document, editor.at("* width", 3), "base")
        renamed = await editor.client.text_document_rename_async(asked_name)
        edits = renamed.changes[editor.uri]  # type: ignore[index, union-attr]
        assert applied(NET, edits, units[0]) == NET.replace("width", "base")

    asyncio.run(session(tmp_path / "net.yaml", script, units))


@pytest.mark.parametrize("uri", [None, "untitled:Untitled-1"])
def test_a_file_may_have_any_name_or_none_yet_and_be_closed(uri: str | None, tmp_path: Path) -> None:
    async def script(editor: Editor) -> None:
        editor.uri = uri or editor.uri
        found = await editor.open(NET.replace("flatten", "flaten"))
        said = "there is no primitive or block `flaten`\nhelp: did you mean `flatten`?"
        assert [one.message for one in found] == [said]
        place = types.DefinitionParams(editor.document, editor.at('twice: "'))
        (where,) = await editor.client.text_document_definition_async(place)  # type: ignore[misc]
        assert where.uri == editor.uri  # type: ignore[union-attr]
        editor.client.text_document_did_close(types.DidCloseTextDocumentParams(editor.document))
        hover = types.HoverParams(editor.document, types.Position(0, 1))  # on its way when the file was closed
        assert await editor.client.text_document_hover_async(hover) is None

    (tmp_path / "my nets%20").mkdir()
    asyncio.run(session(tmp_path / "my nets%20" / "Netz ü.yaml", script))


def test_other_yaml_is_left_alone(edit: Callable[..., None]) -> None:
    """Editors send all YAML files; one that is no spec is not judged, until it becomes one."""
    other = "services:\n  network: {image: redis}\n"

    async def script(editor: Editor) -> None:
        assert await editor.open(other) == []
        place = types.Position(1, 4)
        hover = types.HoverParams(editor.document, place)
        assert await editor.client.text_document_hover_async(hover) is None
        asked = types.CompletionParams(editor.document, place)
        assert await editor.client.text_document_completion_async(asked) == []
        assert len(await editor.change("archspec: 1\n" + other)) > 0
        assert len(await editor.change(other)) > 0

    edit(script)


def test_each_of_many_edits_gets_the_answer_of_check(edit: Callable[..., None], tmp_path: Path) -> None:
    """Lines dropped, doubled, cut and swapped, words mistyped, and all mended again."""
    random = Random(7)

    async def script(editor: Editor) -> None:
        await editor.open(NET)
        for _ in range(40):
            text = mutant_of_lines(editor.text, random).text.decode() if random.random() < 0.8 else NET
            if text == editor.text or not text.strip():
                continue
            found = await editor.change(text)
            (tmp_path / "net.yaml").write_text(text, encoding="utf-8")
            try:
                said = open_file(str(tmp_path / "net.yaml"))[0].check().diagnostics
            except SpecError as error:
                said = error.diagnostics
            errors = [one for one in found if one.severity == types.DiagnosticSeverity.Error]
            assert [one.code for one in errors] == [one.code for one in said]
            for one, other in zip(errors, said, strict=True):
                if other.mark is not None:
                    assert one.range.start.line == other.mark.line - 1

    edit(script)


def test_nothing_is_kept_of_what_is_done() -> None:
    """pygls 2.1 keeps the futures of notifications; a session of days would keep millions."""
    from archspec.editor.server import Server

    server = Server()
    futures: dict[object, Future[None]] = {"done": Future(), "open": Future()}
    futures["done"].set_result(None)
    assert isinstance(server.protocol._request_futures, dict)  # what is undocumented is still there
    server.protocol._request_futures = futures
    server.drop_finished()
    assert list(futures) == ["open"]
