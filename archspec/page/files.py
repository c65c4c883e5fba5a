"""The page's files: its HTML with what differs between a page that is served and one that is written."""

from __future__ import annotations

import secrets
from html import escape
from importlib.resources import files

SCRIPTS = ("page.js", "ask.js", "codemirror.js", "link.js", "text.js", "words.js", "worker.js")
NAMES = ("index.html", "page.css", *SCRIPTS, "codemirror.LICENSE")


def read(name: str, answers: str = "server", pyodide: str = "") -> bytes:
    """One of the page's files.

    Args:
        name: One of `NAMES`.
        answers: Who answers the page: `server`, or `worker`, archspec in the browser.
        pyodide: Where a worker finds Pyodide: an address that ends in `/`.
    """
    text = (files("archspec.page") / "static" / name).read_text(encoding="utf-8")
    if name == "index.html":
        foreign = pyodide.split("/", 3)
        origin = " " + "/".join(foreign[:3]) if "://" in pyodide else ""
        # CodeMirror makes its style sheets itself; files on a web server cannot have a new nonce each time
        nonce = secrets.token_urlsafe(16) if answers == "server" else "static"
        policy = (
            f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{origin}; connect-src 'self'{origin}; "
            f"worker-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'none'"
        )
        for mark, value in (("POLICY", policy), ("NONCE", nonce), ("ANSWERS", answers), ("PYODIDE", pyodide)):
            text = text.replace(f"@@{mark}@@", escape(value))
    return text.encode("utf-8")
