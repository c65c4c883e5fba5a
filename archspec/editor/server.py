"""The language server: what `archspec.editor` knows, in the Language Server Protocol. Needs pygls (extra `lsp`)."""

from __future__ import annotations

import asyncio
import os
import re

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer

from archspec import __version__
from archspec.editor import names
from archspec.editor.completion import complete
from archspec.editor.document import Document
from archspec.editor.fixes import fixes
from archspec.editor.hints import hints
from archspec.editor.hover import hover, vocabulary_of
from archspec.editor.outline import foldings, lenses, symbols
from archspec.editor.protocol import Conversion, completion, start_of
from archspec.editor.renaming import rename
from archspec.foundation.errors import Fault, Mark
from archspec.writing.canonical import format_spec

DELAY = 0.03  # seconds without a keystroke before diagnostics are made


class Server(LanguageServer):
    """Keeps one `Document` of each open file, and the last one of it that was well-formed YAML."""

    def __init__(self) -> None:
        super().__init__("archspec", __version__)
        self._documents: dict[str, tuple[int | None, Document]] = {}
        self._sound: dict[str, Document] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._specs: set[str] = set()
        self._open: set[str] = set()

    @property
    def convert(self) -> Conversion:
        """For the unit of columns that the editor and pygls agreed on."""
        return Conversion(types.PositionEncodingKind(self.workspace.position_encoding or "utf-16"))

    def document(self, uri: str) -> Document:
        """The present version of an open file; an empty one in the place of a file that was closed meanwhile."""
        if uri not in self._open:
            return Document("")
        held = self.workspace.get_text_document(uri)
        known = self._documents.get(uri)
        text = held.source if self.is_spec(uri) else ""
        if known is None or known[0] != held.version or known[1].text != text:
            known = (held.version, Document(text, uris.to_fs_path(uri) or uri, uri=uri))
            self._documents[uri] = known
        if known[1].tree is not None:
            self._sound[uri] = known[1]
        return known[1]

    def is_spec(self, uri: str) -> bool:
        """Whether a file is a spec, or has been one: editors send all YAML files, and others are not ours to judge."""
        if uri not in self._open:
            return False
        text = self.workspace.get_text_document(uri).source
        if uri not in self._specs and re.search(r"^\ufeff?archspec\s*:", text, re.MULTILINE):
            self._specs.add(uri)
        return uri in self._specs

    def sound(self, uri: str) -> Document | None:
        """The last version that was well-formed YAML."""
        return self._sound.get(uri)

    def publish_soon(self, uri: str) -> None:
        """Make the diagnostics of a file once nothing has been typed for a moment."""
        if uri in self._waiting:
            self._waiting.pop(uri).cancel()
        self._waiting[uri] = asyncio.get_running_loop().call_later(DELAY, self.publish, uri)

    def publish(self, uri: str) -> None:
        """Send the diagnostics of a file."""
        self._waiting.pop(uri, None)
        self.drop_finished()
        if uri not in self._open:
            return
        document = self.document(uri)
        found = (
            [] if not self.is_spec(uri) else [self.convert.diagnostic(document, one) for one in document.diagnostics]
        )
        for note in document.notes:
            if document.is_own(note.mark):
                range, hint = self.convert.range(document, note.mark), types.DiagnosticSeverity.Hint
                found.append(types.Diagnostic(range, note.message, severity=hint, source="archspec"))
        version = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, found, version))

    def drop_finished(self) -> None:
        """Let go of what pygls 2.1 keeps of each notification for ever: its future, long after it is done."""
        futures = getattr(self.protocol, "_request_futures", {})
        for number in [number for number, future in futures.items() if future.done()]:
            del futures[number]

    def open(self, uri: str) -> None:
        """Take a file up; pygls knows it by another address where that has escapes, `%20` for instance."""
        self._open.add(uri)
        self.publish(uri)

    def publish_others(self, uri: str) -> None:
        """What extends a file is checked anew when that is saved."""
        for other in list(self._documents):
            if other != uri:
                self._documents.pop(other)
                self.publish(other)

    def forget(self, uri: str) -> None:
        self._open.discard(uri)
        self._specs.discard(uri)
        for held in (self._documents, self._sound):
            held.pop(uri, None)
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


server = Server()


# --- diagnostics ------------------------------------------------------------------------------------------------------


@server.feature(types.TEXT_DOCUMENT_DID_OPEN)
def _opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    ls.open(params.text_document.uri)


@server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
def _changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    ls.publish_soon(params.text_document.uri)


@server.feature(types.TEXT_DOCUMENT_DID_SAVE)
def _saved(ls: Server, params: types.DidSaveTextDocumentParams) -> None:
    ls.publish_others(params.text_document.uri)


@server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
def _closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    ls.forget(params.text_document.uri)


@server.feature(
    types.TEXT_DOCUMENT_CODE_ACTION, types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix])
)
def _actions(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction]:
    document, uri = ls.document(params.text_document.uri), params.text_document.uri
    found = []
    for one in document.diagnostics:
        if one.mark is None or not _touches(ls.convert.range(document, one.mark), params.range):
            continue
        for fix in fixes(document, one):
            edit = types.WorkspaceEdit({uri: ls.convert.edits(document, fix)})
            shown = [ls.convert.diagnostic(document, one)]
            found.append(types.CodeAction(fix.title, types.CodeActionKind.QuickFix, shown, edit=edit))
    return found


def _touches(one: types.Range, other: types.Range) -> bool:
    return one.start.line <= other.end.line and other.start.line <= one.end.line


# --- what is shown ----------------------------------------------------------------------------------------------------


@server.feature(types.TEXT_DOCUMENT_HOVER)
def _hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
    document = ls.document(params.text_document.uri)
    text = hover(document, *ls.convert.place(document, params.position))
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text)) if text else None


@server.feature(types.TEXT_DOCUMENT_INLAY_HINT)
def _hints(ls: Server, params: types.InlayHintParams) -> list[types.InlayHint]:
    document = ls.document(params.text_document.uri)
    lines = range(params.range.start.line + 1, params.range.end.line + 2)
    found = []
    for line, hint in sorted(hints(document, lines).items()):
        end = ls.convert.position(document, line, len(document.lines[line - 1]) + 1)
        found.append(types.InlayHint(end, hint, padding_left=True))
    return found


@server.feature(types.TEXT_DOCUMENT_CODE_LENS)
def _lenses(ls: Server, params: types.CodeLensParams) -> list[types.CodeLens]:
    document = ls.document(params.text_document.uri)
    return [types.CodeLens(start_of(one.line), types.Command(one.text, "")) for one in lenses(document)]


@server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
def _symbols(ls: Server, params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
    document = ls.document(params.text_document.uri)
    return [ls.convert.symbol(document, one) for one in symbols(document)]


@server.feature(types.TEXT_DOCUMENT_FOLDING_RANGE)
def _foldings(ls: Server, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
    document = ls.document(params.text_document.uri)
    return [types.FoldingRange(first - 1, last - 1) for first, last in foldings(document)]


@server.feature(
    types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["=", "{", "[", ",", " ", "."])
)
def _completion(ls: Server, params: types.CompletionParams) -> list[types.CompletionItem]:
    uri = params.text_document.uri
    document = ls.document(uri)
    if not ls.is_spec(uri):
        return []
    return [completion(one) for one in complete(document, *ls.convert.place(document, params.position), ls.sound(uri))]


@server.feature(types.TEXT_DOCUMENT_FORMATTING)
def _format(ls: Server, params: types.DocumentFormattingParams) -> list[types.TextEdit]:
    """As `archspec fmt`; a file that it refuses is left as it is, and says why itself."""
    document = ls.document(params.text_document.uri)
    try:
        text = format_spec(document.text.encode("utf-8", errors="replace"), document.name)
    except Fault:
        return []
    whole = types.Range(types.Position(0, 0), types.Position(len(document.lines) + 1, 0))
    return [types.TextEdit(whole, text)] if text != document.text else []


# --- names ------------------------------------------------------------------------------------------------------------


@server.feature(types.TEXT_DOCUMENT_DEFINITION)
def _definition(ls: Server, params: types.DefinitionParams) -> list[types.Location]:
    document = ls.document(params.text_document.uri)
    line, column = ls.convert.place(document, params.position)
    if (found := names.occurrence_at(document, line, column)) is not None:
        return [ls.convert.location(document, one.mark) for one in names.same(document, found) if one.defines]
    spot = document.at(line, column)
    if spot is None or not spot.word:
        return []
    if spot.path == ("extends",) and not spot.is_key:
        mark = Mark(spot.mark.text, 1, 1)
        target = Document("", document.file_of(Mark(type(mark.text)(spot.word, ()), 1, 1)))
        return [types.Location(uris.from_fs_path(target.path) or "", start_of(1))]
    block = vocabulary_of(document).find(spot.word) if names.is_node(spot) else None
    return [ls.convert.location(document, block.mark)] if block is not None and hasattr(block, "mark") else []


@server.feature(types.TEXT_DOCUMENT_REFERENCES)
def _references(ls: Server, params: types.ReferenceParams) -> list[types.Location]:
    document = ls.document(params.text_document.uri)
    found = names.occurrence_at(document, *ls.convert.place(document, params.position))
    if found is None:
        return []
    wanted = names.same(document, found)
    return [
        ls.convert.location(document, one.mark)
        for one in wanted
        if params.context.include_declaration or not one.defines
    ]


@server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
def _prepare_rename(ls: Server, params: types.PrepareRenameParams) -> types.Range | None:
    document = ls.document(params.text_document.uri)
    found = names.occurrence_at(document, *ls.convert.place(document, params.position))
    return ls.convert.range(document, found.mark) if found is not None else None


@server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
def _rename(ls: Server, params: types.RenameParams) -> types.WorkspaceEdit | None:
    uri = params.text_document.uri
    document = ls.document(uri)
    found = names.occurrence_at(document, *ls.convert.place(document, params.position))
    if found is None:
        return None
    try:
        return types.WorkspaceEdit({uri: ls.convert.edits(document, rename(document, found, params.new_name))})
    except Fault as fault:
        raise JsonRpcInvalidParams(fault.message) from None


def serve() -> None:
    """Speak the protocol on standard input and output until the client ends it."""
    # copies, since the end of a session closes them, and the command line writes to its own afterwards
    with os.fdopen(os.dup(0), "rb") as read, os.fdopen(os.dup(1), "wb") as write:
        server.start_io(read, write)
