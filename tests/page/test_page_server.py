"""The server of `archspec serve`, over real connections: who is let in, what is answered, what is written."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import ROOT

from archspec.cli import cli
from archspec.page.server import PageServer

SPEC = "archspec: 1\ninput: [3, 8, 8]\nnetwork:\n  - conv: {out: 4, kernel: 3}\n  - flatten\n  - linear: 10\n"
REFUSED = {"error": "open the address that `archspec serve` printed"}


class Client:
    def __init__(self, server: PageServer) -> None:
        self.server, self.host = server, f"127.0.0.1:{server.server_port}"

    def send(self, method: str, path: str, body: Any = None, host: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        connection.request(method, path, content, {"Host": host or self.host})
        reply = connection.getresponse()
        found = reply.read()
        connection.close()
        return reply.status, json.loads(found) if reply.getheader("Content-Type") == "application/json" else found

    def within(self, method: str, name: str, body: Any = None) -> tuple[int, Any]:
        return self.send(method, f"/{self.server.token}/{name}", body)


def running(server: PageServer) -> Iterator[Client]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Client(server)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


@pytest.fixture
def client(file: Path) -> Iterator[Client]:
    yield from running(PageServer(str(file)))


@pytest.mark.parametrize(("method", "name"), [("GET", ""), ("GET", "file"), ("POST", "ask"), ("PUT", "file")])
def test_nobody_enters_without_the_token_or_by_another_name(client: Client, file: Path, method: str, name: str) -> None:
    body = {"ask": "gallery", "text": "", "version": ""}
    token, port = client.server.token, client.server.server_port
    assert client.send(method, f"/{name}", body) == (403, REFUSED)
    assert client.send(method, f"/{token[:-1]}/{name}", body) == (403, REFUSED)
    assert client.send(method, f"/{token}/{name}", body, host=f"example.com:{port}") == (403, REFUSED)
    assert client.send(method, f"/{token}/{name}", body, host="127.0.0.1") == (403, REFUSED)
    assert client.send(method, f"/{token}/{name}", body, host=f"localhost:{port}")[0] in (200, 409)
    assert file.read_text(encoding="utf-8") == SPEC


def test_it_listens_on_the_loopback_address_alone(client: Client) -> None:
    assert client.server.server_address[0] == "127.0.0.1"


def test_the_page_and_its_parts_are_there_and_no_other_file(client: Client) -> None:
    status, page = client.within("GET", "")
    assert (status, b'<script type="module" src="page.js">' in page) == (200, True)
    assert b"@@" not in page
    for name in ("page.js", "text.js", "page.css"):
        assert client.within("GET", name) == (200, (ROOT / "archspec/page/static" / name).read_bytes())
    for name in ("mine.yaml", "../server.py", "..%2fserver.py", "static/page.js"):
        assert client.within("GET", name) == (404, {"error": "there is no such page"})


def test_it_answers_by_checking(client: Client) -> None:
    status, found = client.within("POST", "ask", {"ask": "check", "text": SPEC.replace("conv:", "cnov:")})
    assert status == 200
    assert found == {
        "diagnostics": [
            {
                "line": 4,
                "column": 5,
                "length": 4,
                "code": "name-unknown",
                "message": "there is no primitive or block `cnov`",
                "more": "help: did you mean `conv`?",
                "fixes": [{"title": "write `conv`", "edits": [[4, 5, 9, "conv"]]}],
            }
        ],
        "notes": [],
        "yaml": True,
        "hints": {"4": "3×8×8 → ?", "5": "? → ?", "6": "? → ?"},
        "variants": [],
        "title": None,
        "totals": None,
    }


def test_it_explains_offers_and_outlines(client: Client) -> None:
    kernel = {"ask": "hover", "text": SPEC, "line": 4, "column": 22}
    said = "**kernel**, an argument of `conv`: window size; an integer ≥ 1 or a list of 2 such; required\n\nhere: 3×8×8 → 4×6×6,"
    assert client.within("POST", "ask", kernel)[1]["text"].startswith(said)
    typed = SPEC.replace("kernel: 3}", "pad")  # is no YAML
    wanted = {"ask": "complete", "text": typed, "line": 4, "column": 23, "sound": SPEC}
    words = client.within("POST", "ask", wanted)[1]["words"]
    assert [one["word"] for one in words] == ["out", "kernel", "stride", "padding", "dilation", "groups", "bias"]
    assert words[5] == {"word": "groups", "kind": "argument", "doc": words[5]["doc"]}
    symbols = client.within("POST", "ask", {"ask": "outline", "text": SPEC})[1]["symbols"]
    assert [(one["name"], one["line"]) for one in symbols] == [("archspec", 1), ("input", 2), ("network", 3)]
    for place in ({}, {"line": -1, "column": "x"}, {"line": 10**9, "column": 3}):  # of nothing
        status, found = client.within("POST", "ask", {"ask": "hover", "text": "", **place})
        assert (status, found) == (200, {"text": None})


def test_hints_are_made_for_the_lines_that_are_asked_for(client: Client) -> None:
    last, first = "144 → 10, 1,450 parameters, 1.44 KMACs", "3×8×8 → 4×6×6, 112 parameters, 3.89 KMACs"
    for ask, lines, wanted in [
        ("check", {"first": 5, "last": 6}, {"5": "4×6×6 → 144", "6": last}),
        ("hints", {"first": 6, "last": 10**9}, {"6": last}),
        ("hints", {"first": 6, "last": 10**9, "here": 4}, {"4": first, "6": last}),
        ("hints", {"first": 9, "last": 8}, {}),
    ]:
        assert client.within("POST", "ask", {"ask": ask, "text": SPEC, **lines})[1]["hints"] == wanted


def test_groups_of_the_drawing_open_by_their_keys(client: Client) -> None:
    text = SPEC.replace("  - flatten", "  - repeat: 6\n    conv_norm_act: {out: 4}\n  - flatten")
    request = {"ask": "draw", "text": text.replace("network", "defaults: {act: relu, norm: batch_norm}\nnetwork")}
    closed = client.within("POST", "ask", request)[1]["svg"]
    (key,) = re.findall('data-key="([^"]*)" data-open="false"', closed)
    opened = client.within("POST", "ask", {**request, "toggled": [key, "what has gone"]})[1]["svg"]
    assert (closed.count("batch norm"), f'data-key="{key}" data-open="true"' in opened) == (1, True)
    assert client.within("POST", "ask", {**request, "toggled": 3})[1]["svg"] == closed


def test_a_check_reads_anew_what_a_text_extends(client: Client, file: Path) -> None:
    base = file.with_name("base.yaml")
    request = {"text": "archspec: 1\nextends: base.yaml\nname: over\n"}
    base.write_text(SPEC, encoding="utf-8")
    assert client.within("POST", "ask", {"ask": "check", **request})[1]["totals"].startswith("3×8×8 → 10 ")
    base.write_text(SPEC.replace("10", "7"), encoding="utf-8")
    assert client.within("POST", "ask", {"ask": "check", **request})[1]["totals"].startswith("3×8×8 → 7 ")
    assert "3×8×8 → 7 " in client.within("POST", "ask", {"ask": "svg", **request})[1]["content"]


def test_a_file_that_is_gone_is_made_again_by_who_knows_that(client: Client, file: Path) -> None:
    version = client.within("GET", "file")[1]["version"]
    file.unlink()
    gone = {"file": str(file), "removed": True, "version": ""}
    assert client.within("GET", "file") == (200, gone)
    assert client.within("PUT", "file", {"text": "mine", "version": version}) == (409, {"conflict": True, **gone})
    assert client.within("PUT", "file", {"text": "mine", "version": ""})[0] == 200
    assert file.read_text(encoding="utf-8") == "mine"


def test_what_a_file_extends_has_a_version_too(client: Client, file: Path) -> None:
    folder = file.parent / "bases"
    folder.mkdir()
    assert client.within("GET", "file")[1]["bases"] == []
    file.write_text("archspec: 1\nextends: bases/one.yaml\n", encoding="utf-8")
    assert client.within("GET", "file")[1]["bases"] == [[str(folder / "one.yaml"), 0, 0]]
    (folder / "one.yaml").write_text("archspec: 1\nextends: two.yaml\n", encoding="utf-8")
    (folder / "two.yaml").write_text(SPEC, encoding="utf-8")
    states = [(folder / name).stat() for name in ("one.yaml", "two.yaml")]
    wanted = [
        [str(folder / name), one.st_mtime_ns, one.st_size]
        for name, one in zip(("one.yaml", "two.yaml"), states, strict=False)
    ]
    assert client.within("GET", "file")[1]["bases"] == wanted
    (folder / "two.yaml").write_text("archspec: 1\nextends: two.yaml\n", encoding="utf-8")  # a chain has an end
    assert len(client.within("GET", "file")[1]["bases"]) == 10


def test_a_fault_of_ours_is_an_answer(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.page.answers.hints", lambda document, lines: 1 / 0)
    status, found = client.within("POST", "ask", {"ask": "check", "text": SPEC})
    said = "archspec failed at something it should not fail at: ZeroDivisionError: division by zero"
    assert (status, found) == (200, {"error": said})


def test_a_browser_that_has_gone_is_not_reported(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    try:
        raise BrokenPipeError(32, "Broken pipe")
    except BrokenPipeError:
        client.server.handle_error(None, None)
    assert capfd.readouterr() == ("", "")


def test_it_saves_and_refuses_where_the_file_has_changed(client: Client, file: Path) -> None:
    _, before = client.within("GET", "file")
    assert (before["file"], before["text"]) == (str(file), SPEC)
    status, saved = client.within("PUT", "file", {"text": SPEC + "# é\n", "version": before["version"]})
    assert (status, file.read_text(encoding="utf-8")) == (200, SPEC + "# é\n")
    assert client.within("GET", "file") == (200, saved)
    file.write_text("archspec: 1\n", encoding="utf-8")  # by another program
    status, conflict = client.within("PUT", "file", {"text": SPEC, "version": saved["version"]})
    assert (status, conflict["conflict"], conflict["text"]) == (409, True, "archspec: 1\n")
    assert file.read_text(encoding="utf-8") == "archspec: 1\n"
    assert client.within("PUT", "file", {"text": SPEC, "version": conflict["version"]})[0] == 200
    assert file.read_text(encoding="utf-8") == SPEC


def test_what_cannot_be_done_is_said(client: Client, file: Path) -> None:
    assert client.within("POST", "ask", b"{") == (400, {"error": "a request is a JSON object"})
    assert client.within("POST", "ask", []) == (400, {"error": "a request is a JSON object"})
    assert client.within("POST", "ask", {"ask": "eval"}) == (200, {"error": "there is no such request"})
    wrong = "a file is saved by its text and the version that it replaces"
    assert client.within("PUT", "file", {"text": SPEC}) == (400, {"error": wrong})
    assert client.within("PUT", "ask", {"text": SPEC}) == (404, {"error": "there is no such page"})
    file.unlink()
    file.mkdir()
    other = {"error": f"cannot read {file}: it is a folder"}
    assert client.within("GET", "file") == (200, other)
    assert client.within("PUT", "file", {"text": SPEC, "version": ""}) == (200, other)
    file.rmdir()
    file.parent.rmdir()
    nowhere = {"error": f"cannot write {file}: No such file or directory"}
    assert client.within("PUT", "file", {"text": SPEC, "version": ""}) == (200, nowhere)


def test_a_page_without_a_file_saves_nothing(tmp_path: Path) -> None:
    for client in running(PageServer(None, "resnet50")):
        assert client.within("GET", "file") == (200, {"file": None, "start": "resnet50"})
        answer = (200, {"error": "this page has no file to save to"})
        assert client.within("PUT", "file", {"text": SPEC, "version": ""}) == answer


def test_serve_prints_its_address_and_ends_by_an_interrupt(file: Path) -> None:
    # a process that a script started in the background is born with the signal ignored
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from archspec.cli import main"
    command = [sys.executable, "-c", f"{begin}; main()", "serve", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert process.stdout.readline() == "Ctrl+C ends it\n"
        _, port, token = address.removesuffix("/").replace("/", ":").rsplit(":", 2)
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        connection.request("GET", f"/{token}/file")
        assert json.loads(connection.getresponse().read())["text"] == SPEC
        connection.close()
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=30) == ("", "\n")
        finally:
            process.kill()
        assert process.returncode == 0


def test_serve_refuses_what_is_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.yaml")
    error = CliRunner().invoke(cli, ["serve", missing]).exception
    assert str(error) == f"cannot read {missing}: there is no such file"
    server = PageServer(None)
    error = CliRunner().invoke(cli, ["serve", "--port", str(server.server_port)]).exception
    server.server_close()
    message = f"cannot serve on port {server.server_port}: Address already in use"
    assert str(error) == f"{message}\n  help: without --port any free one is taken"
