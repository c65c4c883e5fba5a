"""What `archspec.editor` knows as the Language Server Protocol writes it. Needs lsprotocol (extra `lsp`)."""

from __future__ import annotations

from lsprotocol import types
from pygls import uris

from archspec.editor.completion import Completion
from archspec.editor.document import Document
from archspec.editor.fixes import Edit, Fix
from archspec.editor.outline import Symbol
from archspec.foundation.errors import Diagnostic, Mark

UNITS = {
    types.PositionEncodingKind.Utf8: ("utf-8", 1),
    types.PositionEncodingKind.Utf16: ("utf-16-le", 2),
    types.PositionEncodingKind.Utf32: ("utf-32-le", 4),
}
"""By the unit in which columns are counted, Python's name of the encoding, and the size of a unit in bytes."""
SYMBOLS = {
    "section": types.SymbolKind.Namespace,
    "part": types.SymbolKind.Module,
    "block": types.SymbolKind.Class,
    "variable": types.SymbolKind.Variable,
    "variant": types.SymbolKind.EnumMember,
    "key": types.SymbolKind.Key,
}
COMPLETIONS = {
    "layer": types.CompletionItemKind.Class,
    "block": types.CompletionItemKind.Interface,
    "keyword": types.CompletionItemKind.Keyword,
    "argument": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.Value,
    "variable": types.CompletionItemKind.Variable,
    "function": types.CompletionItemKind.Function,
    "tensor": types.CompletionItemKind.Reference,
    "part": types.CompletionItemKind.Module,
    "file": types.CompletionItemKind.File,
}


class Conversion:
    """Turns places, which archspec counts in characters from 1, into those of the protocol, and back.

    Args:
        unit: The unit in which the editor counts columns.
    """

    def __init__(self, unit: types.PositionEncodingKind) -> None:
        self._codec, self._size = UNITS[unit]

    def position(self, document: Document, line: int, column: int) -> types.Position:
        text = document.lines[line - 1] if 1 <= line <= len(document.lines) else ""
        before = text[: column - 1].encode(self._codec, errors="surrogatepass")
        return types.Position(max(0, line - 1), len(before) // self._size)

    def range(self, document: Document, mark: Mark) -> types.Range:
        text = document.lines[mark.line - 1] if 1 <= mark.line <= len(document.lines) else ""
        stop = min(mark.column + mark.length, max(len(text) + 1, mark.column))
        return types.Range(self.position(document, mark.line, mark.column), self.position(document, mark.line, stop))

    def place(self, document: Document, position: types.Position) -> tuple[int, int]:
        """A line and column, counted from 1, in characters."""
        text = document.lines[position.line] if position.line < len(document.lines) else ""
        before = text.encode(self._codec, errors="surrogatepass")[: self._size * position.character]
        return position.line + 1, len(before.decode(self._codec, errors="ignore")) + 1

    def location(self, document: Document, mark: Mark) -> types.Location:
        """Where a mark lies, be it in this file, in one that it extends, or in the library."""
        if document.is_own(mark):
            return types.Location(document.uri or uris.from_fs_path(document.path) or "", self.range(document, mark))
        other = Document("\n".join(mark.text.lines), document.file_of(mark))
        return types.Location(uris.from_fs_path(other.path) or "", self.range(other, mark))

    def diagnostic(self, document: Document, one: Diagnostic) -> types.Diagnostic:
        """What `archspec check` says, less the place and the line, which the editor shows."""
        own = one.mark is not None and document.is_own(one.mark)
        related = [
            types.DiagnosticRelatedInformation(self.location(document, frame.mark), frame.label)
            for frame in one.frames
            if frame.mark is not None
        ]
        return types.Diagnostic(
            self.range(document, one.mark) if one.mark is not None and own else start_of(1),
            "\n".join([one.message, *document.explain(one)]),
            severity=types.DiagnosticSeverity.Error,
            code=one.code,
            source="archspec",
            related_information=related or None,
        )

    def edits(self, document: Document, fix: Fix) -> list[types.TextEdit]:
        return [types.TextEdit(self._part(document, one), one.text) for one in fix.edits]

    def _part(self, document: Document, one: Edit) -> types.Range:
        return types.Range(self.position(document, one.line, one.start), self.position(document, one.line, one.stop))

    def symbol(self, document: Document, one: Symbol) -> types.DocumentSymbol:
        own = self.range(document, one.mark)
        end = self.position(document, one.last_line, len(document.lines[one.last_line - 1]) + 1)
        children = [self.symbol(document, child) for child in one.children]
        kind, whole = SYMBOLS[one.kind], types.Range(own.start, end)
        return types.DocumentSymbol(one.name, kind, whole, own, one.detail or None, children=children)


def start_of(line: int) -> types.Range:
    """The empty range at the start of a line, counted from 1."""
    return types.Range(types.Position(line - 1, 0), types.Position(line - 1, 0))


def completion(one: Completion) -> types.CompletionItem:
    return types.CompletionItem(one.word, kind=COMPLETIONS[one.kind], documentation=one.doc or None)
