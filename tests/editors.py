"""An editor, as far as a language server notices: a real client of a real process, by the real protocol."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.client import LanguageClient


class Editor:
    """One editor with one file open."""

    def __init__(self, client: LanguageClient, path: Path, unit: str) -> None:
        self.client, self.uri, self.version, self.unit = client, path.as_uri(), 1, unit
        self.text, self.published = "", asyncio.Queue[types.PublishDiagnosticsParams]()

    async def open(self, text: str) -> list[types.Diagnostic]:
        self.text = text
        self.client.text_document_did_open(
            types.DidOpenTextDocumentParams(types.TextDocumentItem(self.uri, "yaml", self.version, text))
        )
        return await self.diagnostics()

    async def change(self, text: str) -> list[types.Diagnostic]:
        """Replace the text by an edit of the lines that differ, as editors do."""
        old, new = self.text.splitlines(True), text.splitlines(True)
        start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        end = 0
        while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
            end += 1
        span = types.Range(types.Position(start, 0), types.Position(len(old) - end, 0))
        self.version += 1
        self.text = text
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(
                types.VersionedTextDocumentIdentifier(self.version, self.uri),
                [types.TextDocumentContentChangePartial(span, "".join(new[start : len(new) - end]))],
            )
        )
        return await self.diagnostics()

    async def diagnostics(self) -> list[types.Diagnostic]:
        while True:
            found = await asyncio.wait_for(self.published.get(), 60)
            if found.uri == self.uri and found.version == self.version:
                return list(found.diagnostics)

    @property
    def document(self) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(self.uri)

    def at(self, text: str, shift: int = 0) -> types.Position:
        """The place of the only occurrence of a text."""
        assert self.text.count(text) == 1
        before = self.text[: self.text.index(text) + shift]
        line = before.count("\n")
        return types.Position(line, length(before.rpartition("\n")[2], self.unit))


def length(text: str, unit: str) -> int:
    """How many units of UTF-8, UTF-16 or UTF-32 a text has."""
    return len(text.encode(f"{unit}-le" if unit != "utf-8" else unit)) * 8 // int(unit[4:])


async def session(
    path: Path, script: Callable[[Editor], Coroutine[Any, Any, None]], units: Sequence[str] | None = None
) -> None:
    """What an editor does with one file, from the start of a server to its end.

    Args:
        units: Those in which the editor can count columns, the first of which it prefers; without them, UTF-16.
    """
    client = LanguageClient("test", "1")
    editor = Editor(client, path, units[0] if units else "utf-16")
    general = types.GeneralClientCapabilities(
        position_encodings=[types.PositionEncodingKind(one) for one in units or ()]
    )

    @client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def publish(found: types.PublishDiagnosticsParams) -> None:
        editor.published.put_nowait(found)

    await client.start_io(sys.executable, "-m", "archspec", "lsp")
    await client.initialize_async(
        types.InitializeParams(capabilities=types.ClientCapabilities(general=general if units else None))
    )
    client.initialized(types.InitializedParams())
    try:
        await script(editor)
        await client.shutdown_async(None)
        client.exit(None)
        assert client._server is not None
        assert await asyncio.wait_for(client._server.wait(), 60) == 0
    finally:
        if client._server is not None and client._server.returncode is None:
            client._server.kill()
        await client.stop()


def applied(text: str, edits: Any, unit: str = "utf-16") -> str:
    """A text with edits carried out."""
    lines = text.splitlines(True)

    def offset(place: types.Position) -> int:
        line = lines[place.line] if place.line < len(lines) else ""
        column = next((at for at in range(len(line)) if length(line[:at], unit) >= place.character), len(line))
        return sum(map(len, lines[: place.line])) + column

    for one in sorted(edits, key=lambda edit: offset(edit.range.start), reverse=True):
        text = text[: offset(one.range.start)] + one.new_text + text[offset(one.range.end) :]
    return text
