"""Answers whose beginning or end is odd: no HTTP, odd statuses, 1xx, redirects, lost ends."""

from __future__ import annotations

import random

from tests.hostile.answers import answer, chunked, run_body
from tests.hostile.cases import Case, case
from tests.hostile.wire import End, Many, nothing

__all__ = ["CASES", "REDIRECTS"]


def _garbage() -> list[Case]:
    noise = random.Random(7).randbytes(100_000)
    kinds = {
        "SSH": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "SMTP": b"220 mail.example ESMTP\r\n500 what?\r\n",
        "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
        "a TLS server's hello": b"\x16\x03\x03\x00\x31\x02" + bytes(48),
        "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/2 settings": bytes.fromhex("000006040000000000000300000064"),
        "noise": noise,
        "noise without line breaks": noise.translate(None, b"\r\n"),
        "NULs": bytes(100_000),
        "line breaks": b"\r\n" * 50_000,
        "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "JSON without HTTP": run_body(status="completed"),
        "JSON and a line break": run_body(status="completed") + b"\r\n\r\n",
        "a web page without HTTP": b"<html><body>welcome</body></html>",
        "half a word": b"HTT",
        "a word": b"HTTP",
        "terminal escapes": b"\x1b]0;pwned\x07\x1b[2J\r\n\r\n",
        "a megabyte in one line": b"HTTP/1.1 " + b"2" * 1_000_000,
    }
    return [case(f"garbage: {name}", data, says=None) for name, data in kinds.items()]


def _status_lines() -> list[Case]:
    readable = {
        "a reason in latin-1": b"HTTP/1.1 200 Gr\xfc\xdfe",
        "a reason in UTF-8": "HTTP/1.1 200 ✓".encode(),
        "no reason": b"HTTP/1.1 200",
        "an empty reason": b"HTTP/1.1 200 ",
        "a reason with a tab": b"HTTP/1.1 200 O\tK",
        "a reason with a NUL": b"HTTP/1.1 200 O\x00K",
        "a reason with an escape": b"HTTP/1.1 200 \x1b[31mred",
        "a reason with a carriage return": b"HTTP/1.1 200 O\rK",
        "a long reason": b"HTTP/1.1 200 " + b"O" * 7000,
        "a very long reason": b"HTTP/1.1 200 " + b"O" * 1_000_000,
        "HTTP/1.0": b"HTTP/1.0 200 OK",
        "HTTP/1.2": b"HTTP/1.2 200 OK",
        "HTTP/2.0": b"HTTP/2.0 200 OK",
        "HTTP/9.9": b"HTTP/9.9 200 OK",
        "HTTP/0.9": b"HTTP/0.9 200 OK",
        "http in lower case": b"http/1.1 200 OK",
        "another protocol": b"ICY 200 OK",
        "an empty line before": b"\r\nHTTP/1.1 200 OK",
        "a blank before": b" HTTP/1.1 200 OK",
        "two blanks": b"HTTP/1.1  200 OK",
        "201": b"HTTP/1.1 201 Created",
        "206": b"HTTP/1.1 206 Partial Content",
        "299": b"HTTP/1.1 299 Odd",
    }
    refused = {
        name: b"HTTP/1.1 %s Odd" % code
        for name, code in {
            "status 99": b"99",
            "status 099": b"099",
            "status 304": b"304",
            "status 399": b"399",
            "status 400": b"400",
            "status 499": b"499",
            "status 600": b"600",
            "status 999": b"999",
            "status 000": b"000",
            "status 2000": b"2000",
            "status 2e2": b"2e2",
            "status abc": b"abc",
            "status 1e3": b"1e3",
            "status -200": b"-200",
            "status 20x": b"20x",
            "a status in Arabic digits": "٢٠٠".encode(),
            "a status of 5000 digits": b"2" * 5000,
        }.items()
    }
    read = [
        case(f"status line: {name}", answer(status=line), must=line.startswith(b"HTTP/1.1 20"))
        if name in {"no reason", "an empty reason", "201", "206"}
        else case(f"status line: {name}", answer(status=line))
        for name, line in readable.items()
    ]
    completed = run_body(status="completed")
    return read + [
        case(f"status line: {name}", answer(completed, status=line), says=None)
        for name, line in refused.items()
    ]


def _interim() -> list[Case]:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: odd\r\nConnection: Upgrade\r\n\r\n"
    return [
        case("1xx: a 100 before", b"HTTP/1.1 100 Continue\r\n\r\n", answer(), must=True),
        case("1xx: a 103 before", early, answer(), must=True),
        case("1xx: three before", early * 3, answer(), must=True),
        case("1xx: twenty before", early * 20, answer()),
        case("1xx: 10,000 before", early * 10_000, answer()),
        case("1xx: nothing else, for ever", Many(early), says=None),
        case("1xx: nothing else, then the end", early, says=None),
        case("1xx: with a length and a body", answer(status=b"HTTP/1.1 100 Continue"), says=None),
        case("1xx: 101", upgrade, says=None),
        case("1xx: 101, and an answer", upgrade + answer()),
        case("1xx: 199", answer(b"", status=b"HTTP/1.1 199 Odd"), answer()),
    ]


def _without_body() -> list[Case]:
    completed = run_body(status="completed")
    return [
        case("204 with a body", answer(completed, status=b"HTTP/1.1 204 None"), says="completed"),
        case("205 with a body", answer(completed, status=b"HTTP/1.1 205 Reset"), says="completed"),
        case("304 with a body", answer(completed, status=b"HTTP/1.1 304 Same"), says=None),
        case("204 alone", b"HTTP/1.1 204 None\r\n\r\n", says=None),
        case("304 alone", b"HTTP/1.1 304 Same\r\n\r\n", says=None),
    ]


def _lost() -> list[Case]:
    whole, chunks = answer(), chunked(run_body(), size=20)
    head = whole.index(b"\r\n\r\n") + 4
    cuts = {
        "before anything": b"",
        "in the status line": whole[:11],
        "after the status line": whole[:17],
        "in the headers": whole[:30],
        "after the headers": whole[:head],
        "in the body": whole[: head + 40],
        "in a chunk": chunks[: chunks.index(b"\r\n\r\n") + 12],
        "before the last chunk": chunks[: -len(b"0\r\n\r\n")],
    }
    found = []
    for where, data in cuts.items():
        says = "in_progress" if where == "before the last chunk" else None
        found.append(case(f"closed {where}", data, says=says))
        found.append(case(f"reset {where}", data, 0.02, End.RESET, says=says))
    return [
        *found,
        case("closed before the request", says=None, read=nothing),
        case("reset before the request", End.RESET, says=None, read=nothing),
        case("an answer before the request", answer(), read=nothing),
        case("reset after the answer", answer(), 0.02, End.RESET),
    ]


def _redirects() -> list[Case]:
    targets = {
        "javascript": b"javascript:1",
        "half an address": b"http://[::1",
        "itself": b"/threads/thread_1/runs/run_1",
        "another path": b"/elsewhere",
        "a NUL": b"/else\x00where",
        "latin-1": b"/\xfcberall",
        "a very long path": b"/" + b"x" * 7000,
        "a file": b"file:///etc/passwd",
        "an escape": b"/\x1b[2J",
        "nothing": b"",
        "port 99999": b"http://127.0.0.1:99999/",
    }
    found = [
        case(f"redirect {code} to {name}", answer(None, header, status=line), says=None)
        for code, line in (
            (302, b"HTTP/1.1 302 Found"),
            (307, b"HTTP/1.1 307 Temporary Redirect"),
        )
        for name, target in targets.items()
        for header in [b"Location: " + target]
    ]
    bare = [
        case(
            f"redirect {code} without a target", answer(status=b"HTTP/1.1 %d Odd" % code), says=None
        )
        for code in (300, 301, 303, 305, 308)
    ]
    return found + bare


REDIRECTS = _redirects()
CASES = [
    *_garbage(),
    *_status_lines(),
    *_interim(),
    *_without_body(),
    *_lost(),
]
