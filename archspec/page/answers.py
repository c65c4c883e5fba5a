"""What the page asks of archspec: requests and answers are JSON, whoever carries them."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from typing import Any

from archspec.editor.completion import complete
from archspec.editor.document import Document
from archspec.editor.fixes import fixes
from archspec.editor.hints import hints
from archspec.editor.hover import hover
from archspec.editor.outline import Symbol, symbols, totals
from archspec.foundation.errors import ArchspecError, Diagnostic
from archspec.foundation.shapes import show
from archspec.foundation.source import Mapping
from archspec.language import finder
from archspec.plan.plan import Plan

Json = dict[str, Any]
MAX_ROWS = 400
"""Of the table of layers; more of them help nobody on a page."""
MAX_KEPT = 3
"""Texts whose plans are kept: the one that is typed, the last that was sound, and another variant."""


def answer(request: Json, path: str = "spec.yaml") -> Json:
    """Answer one request.

    Args:
        request: Its `ask` names one of `ASKS`. All but `gallery` and `spec` take a `text`, the `variant` that is
            shown (null: the file without one), and of a text from the gallery the `base`: the bundled spec it was.
            `draw` may be given the keys of groups that are `toggled`, as the drawing has them (`data-key`).
            `check` and `hints` may be given the `first` and the `last` line that hints are made for, and one
            more, `here`; without, all.
            `hover` and `complete` take a `line` and a `column`, counted from 1 in characters; `complete` also the
            last text that was well-formed YAML, as `sound`.
        path: Where the text lies, or will; what it extends is looked for there.

    Returns:
        The answer, or its `error` in words: of a request that is none, or of a fault of ours.
    """
    made = ASKS.get(str(request.get("ask")))
    if made is None:
        return {"error": "there is no such request"}
    try:
        return made(request, path)
    except ArchspecError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"archspec failed at something it should not fail at: {type(error).__name__}: {error}"}


_kept: list[Document] = []
"""The texts that were asked about last, the latest first: what follows a check stands on what it made."""


def _document(request: Json, path: str, *, fresh: bool = False) -> Document:
    """The text, of which one variant is looked at; `fresh` where what it extends may have changed."""
    text, variant, base = str(request.get("text", "")), request.get("variant"), request.get("base")
    if base in finder.bundled():
        path = finder.find(str(base)).path
    made = Document(text, path, [None if variant is None else str(variant)])
    same = [one for one in _kept if (one.text, one.path) == (made.text, made.path)]
    known = next((one for one in same if one.variants == made.variants), None)
    if fresh and known is not None:
        _kept.remove(known)
    if fresh or known is None:
        known = same[0].of(made.variants) if same else made
        _kept.insert(0, known)
        del _kept[MAX_KEPT:]
    return known


def _check(request: Json, path: str) -> Json:
    """What an editor shows: diagnostics, line-end hints, the names of variants, totals."""
    document = _document(request, path, fresh=True)
    plan = document.plan
    section = document.section("variants")
    return {
        "diagnostics": [_diagnostic(document, one) for one in document.diagnostics],
        "notes": [
            {"line": one.mark.line, "message": one.message} for one in document.notes if document.is_own(one.mark)
        ],
        "yaml": document.tree is not None,
        "hints": hints(document, _lines(request)),
        "variants": list(section.entries) if isinstance(section, Mapping) else [],
        "title": plan.title if isinstance(plan, Plan) else None,
        "totals": totals(plan) if isinstance(plan, Plan) else None,
    }


def _hints(request: Json, path: str) -> Json:
    """The hints of other lines of a text that was checked."""
    return {"hints": hints(_document(request, path), _lines(request))}


def _lines(request: Json) -> Container[int] | None:
    """The lines that hints are made for; `None` for all."""
    first, last, here = (request.get(key) for key in ("first", "last", "here"))
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    return range(first, last + 1) if not isinstance(here, int) else {here, *range(first, min(last, first + 10_000) + 1)}


def _diagnostic(document: Document, one: Diagnostic) -> Json:
    own = one.mark is not None and document.is_own(one.mark)
    return {
        "line": one.mark.line if one.mark is not None and own else 1,
        "column": one.mark.column if one.mark is not None and own else 1,
        "length": one.mark.length if one.mark is not None and own else 0,
        "code": one.code,
        "message": one.message,
        "more": "\n".join(document.explain(one)),
        "fixes": [
            {"title": fix.title, "edits": [[edit.line, edit.start, edit.stop, edit.text] for edit in fix.edits]}
            for fix in fixes(document, one)
        ],
    }


def _plan(request: Json, path: str) -> Plan | None:
    plan = _document(request, path).plan
    return plan if isinstance(plan, Plan) else None


def _draw(request: Json, path: str) -> Json:
    """The drawing, as SVG, and the table of parts. Empty for a text that is wrong."""
    from archspec.views.drawing.svg import svg
    from archspec.views.summary import summary

    plan = _plan(request, path)
    if plan is None:
        return {}
    rows = summary(plan, fields=False)
    shown = [
        {
            "part": row.path or row.kind,
            "kind": row.kind,
            "level": row.level,
            "times": row.times,
            "line": row.line if row.file == plan.file else None,
            "output": show(row.output),
            "params": row.params,
            "macs": row.macs,
            "leaf": row.is_leaf,
        }
        for row in rows[:MAX_ROWS]
    ]
    toggled = request.get("toggled")
    keys = {str(one) for one in toggled} if isinstance(toggled, list) else set()
    return {"svg": svg(plan, caption=False, toggled=keys), "rows": shown, "left_out": len(rows) - len(shown)}


def _python(request: Json, path: str) -> Json:
    from archspec.exports.python import write

    plan = _plan(request, path)
    return {"content": write(plan)} if plan is not None else {}


def _svg(request: Json, path: str) -> Json:
    from archspec.views.drawing.svg import svg

    plan = _plan(request, path)
    return {"content": svg(plan)} if plan is not None else {}


def _html(request: Json, path: str) -> Json:
    from archspec.views.drawing.html import html

    plan = _plan(request, path)
    return {"content": html(plan)} if plan is not None else {}


def _place(request: Json) -> tuple[int, int]:
    found = [request.get(key) for key in ("line", "column")]
    line, column = (one if isinstance(one, int) and one > 0 else 1 for one in found)
    return line, column


def _hover(request: Json, path: str) -> Json:
    return {"text": hover(_document(request, path), *_place(request))}


def _complete(request: Json, path: str) -> Json:
    sound = _document({**request, "text": request.get("sound", "")}, path)
    found = complete(_document(request, path), *_place(request), sound)
    return {"words": [{"word": one.word, "kind": one.kind, "doc": one.doc} for one in found]}


def _outline(request: Json, path: str) -> Json:
    return {"symbols": [_symbol(one) for one in symbols(_document(request, path))]}


def _symbol(one: Symbol) -> Json:
    children = [_symbol(child) for child in one.children]
    return {"name": one.name, "detail": one.detail, "line": one.mark.line, "children": children}


def _gallery(request: Json, path: str) -> Json:
    return {"names": list(finder.bundled())}


def _spec(request: Json, path: str) -> Json:
    """The text of a bundled spec, and the variant that its name means."""
    name = str(request.get("name"))
    found = finder.find(name) if not name.endswith(finder.SUFFIXES) else None
    if found is None:  # files are none of the page's
        return {"error": f"no spec called {name} comes with archspec"}
    text = found.read().decode("utf-8")
    base = os.path.splitext(os.path.relpath(found.path, finder.folder()))[0].replace(os.sep, "/")
    return {"text": text, "variant": found.variant, "base": base, "file": os.path.basename(found.path)}


ASKS: dict[str, Callable[[Json, str], Json]] = {
    "check": _check,
    "hints": _hints,
    "draw": _draw,
    "hover": _hover,
    "complete": _complete,
    "outline": _outline,
    "python": _python,
    "svg": _svg,
    "html": _html,
    "gallery": _gallery,
    "spec": _spec,
}
"""The requests there are."""
