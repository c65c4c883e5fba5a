"""The page on this machine: a server on the loopback address, which a random token in its address guards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from archspec.foundation.errors import UsageError
from archspec.foundation.reading import MAX_BYTES, first_text
from archspec.language.extends import MAX_FILES
from archspec.language.finder import FoundFile
from archspec.page import files
from archspec.page.answers import Json, answer
from archspec.writing.files import make, replace

MAX_REQUEST = 4 * MAX_BYTES
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript",
    ".LICENSE": "text/plain",
}


class PageServer(ThreadingHTTPServer):
    """Serves the page, answers it, and writes its file when it is told to.

    Args:
        path: The spec's file; `None` for a page without one, which is saved nowhere.
        start: The bundled spec or variant that a page without a file begins with.
        port: The port; 0 for any that is free.

    Raises:
        OSError: The port is taken.
    """

    daemon_threads = True

    def __init__(self, path: str | None, start: str = "digits", port: int = 0) -> None:
        self.path, self.start = path, start
        self.token = secrets.token_urlsafe(24)
        self.busy = threading.Lock()  # one answer at a time, and no answer while the file is written
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where the browser has gone before its answer; other faults are shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def file(self) -> Json:
        """The file as it is on disk, with its version, and that of the files that it extends. Raises `UsageError`.

        One that is not there any more is `removed`, and has the version "".
        """
        if self.path is None:
            return {"file": None, "start": self.start}
        if not os.path.lexists(self.path):
            return {"file": self.path, "removed": True, "version": ""}
        content = FoundFile(self.path, self.path).read()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"{self.path} is not in UTF-8") from None
        version = hashlib.sha256(content).hexdigest()
        return {"file": self.path, "text": text, "version": version, "bases": self._bases(self.path, content)}

    def _bases(self, path: str, content: bytes) -> list[list[str | int]]:
        """What tells whether the files that one extends have changed: the place, time and size of each."""
        found: list[list[str | int]] = []
        while len(found) < MAX_FILES and (name := _extended(content)) is not None:
            path = os.path.join(os.path.dirname(path), *name.split("/"))
            try:
                state = os.stat(path)
                found.append([path, state.st_mtime_ns, state.st_size])
                content = FoundFile(path, path).read()
            except (OSError, ValueError, UsageError):
                found.append([path, 0, 0])
                break
        return found

    def save(self, text: str, version: str) -> Json:
        """Write the file, unless it is another than `version` by now. Raises `UsageError`."""
        if self.path is None:
            raise UsageError("this page has no file to save to")
        with self.busy:
            now = self.file()
            if now["version"] != version:
                return {"conflict": True, **now}
            if now.get("removed"):
                make(self.path, text.encode("utf-8"))
            else:
                replace(self.path, text.encode("utf-8"))
            return self.file()


def _extended(content: bytes) -> str | None:
    """The file that one names under `extends`; `None` where it names none, or is no YAML as far as that."""
    if not re.search(rb"^[\"']?extends\b", content, re.MULTILINE):
        return None
    try:
        return first_text(content, "extends")
    except yaml.YAMLError:
        return None


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self._wanted()
        if name == "file":
            try:
                self._json(self.server.file())
            except UsageError as error:
                self._json({"error": str(error)})
        elif name is not None and (name or "index.html") in files.NAMES:
            name = name or "index.html"
            self._send(HTTPStatus.OK, files.read(name), TYPES[os.path.splitext(name)[1]])
        elif name is not None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        request = self._body("ask")
        if request is None:
            return
        with self.server.busy:
            self._json(answer(request, self.server.path or "spec.yaml"))

    def do_PUT(self) -> None:
        request = self._body("file")
        if request is None:
            return
        text, version = request.get("text"), request.get("version")
        if not isinstance(text, str) or not isinstance(version, str):
            self._refuse(HTTPStatus.BAD_REQUEST, "a file is saved by its text and the version that it replaces")
            return
        try:
            saved = self.server.save(text, version)
        except UsageError as error:
            saved = {"error": str(error)}
        self._json(saved, HTTPStatus.CONFLICT if saved.get("conflict") else HTTPStatus.OK)

    def _wanted(self) -> str | None:
        """What is asked for; `None`, and a refusal, for who has not the token or calls this machine by another name."""
        token, _, name = self.path.split("?")[0].lstrip("/").partition("/")
        host = self.headers.get("Host", "")  # another name: a foreign page whose name leads here
        known = host in (f"127.0.0.1:{self.server.server_port}", f"localhost:{self.server.server_port}")
        if not known or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `archspec serve` printed")
            return None
        return name

    def _body(self, name: str) -> Json | None:
        """The JSON object that was sent to an address; `None`, and a refusal, where there is none."""
        wanted = self._wanted()
        length = self.headers.get("Content-Length", "")
        if wanted is None:
            return None
        if wanted != name:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return None
        if not length.isdecimal() or int(length) > MAX_REQUEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the text is too long")
            return None
        try:
            found: Any = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            self._refuse(HTTPStatus.BAD_REQUEST, "a request is a JSON object")
            return None
        return found

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what else was sent has not been read
        self._json({"error": why}, status)

    def _json(self, found: Json, status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(found).encode("utf-8"), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the terminal is the user's."""
