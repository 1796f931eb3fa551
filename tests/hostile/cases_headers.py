"""Answers with odd headers, lengths and chunks."""

from __future__ import annotations

from tests.hostile.answers import answer, chunked, run_body
from tests.hostile.cases import Case, case
from tests.hostile.wire import Many

__all__ = ["CASES"]

_LENGTH = len(run_body())
_TEN_MB = 10 * 1024 * 1024


def _fields() -> list[Case]:
    kinds = {
        "no colon": b"this is no header",
        "no name": b": nameless",
        "a blank before the colon": b"x-odd : 1",
        "a blank in the name": b"x odd: 1",
        "a folded line": b"x-odd: one\r\n two\r\n\tthree",
        "a folded first line": b" folded: 1",
        "a NUL in the value": b"x-odd: a\x00b",
        "a NUL in the name": b"x-\x00odd: ab",
        "latin-1 in the value": b"x-odd: \xfc\xff",
        "latin-1 in the name": b"x-\xfcdd: 1",
        "a bare carriage return": b"x-odd: a\rb",
        "a bare line feed": b"x-odd: a\nx-other: b",
        "an escape": b"x-odd: \x1b[2J",
        "an empty value": b"x-odd:",
        "no content type's type": b"Content-Type: ;;;=",
        "an odd charset": b"Content-Type: application/json; charset=\xff\x00no-such",
        "a Connection for ever": b"Connection: keep-alive\r\nKeep-Alive: timeout=999999999999",
        "an Upgrade": b"Upgrade: h2c\r\nConnection: Upgrade",
        "an odd date": b"Retry-After: Fri, 99 Foo 99999 99:99:99 +9999",
        "a Retry-After of nan": b"Retry-After: nan",
        "an odd poll-after": b"openai-poll-after-ms: 1e400",
        "an odd request id": b"x-request-id: " + b"\xff" * 5000,
        "a 20 KB header": b"x-odd: " + b"x" * 20_000,
        "a 90 KB header": b"x-odd: " + b"x" * 90_000,
        "200 headers": b"\r\n".join(b"x-%d: 1" % n for n in range(200)),
        "20,000 headers": b"\r\n".join(b"x-%d: 1" % n for n in range(20_000)),
        "20,000 times the same": b"\r\n".join([b"x: 1"] * 20_000),
    }
    found = [
        case(f"header: {name}", answer(None, lines), must=name == "an empty value")
        for name, lines in kinds.items()
    ]
    start = b"HTTP/1.1 200 OK\r\nx-odd: "
    return [
        *found,
        case("header: 10 MB", start, Many(b"x" * 1024, _TEN_MB // 1024), says=None),
        case("header: 10 MB of them", start, Many(b"1\r\nx: ", _TEN_MB // 6), says=None),
        case("header: a name of 10 MB", start[:17], Many(b"x" * 1024, _TEN_MB // 1024), says=None),
        case("header: no end of line", b"HTTP/1.1 200 OK\r\nContent-Length: 3", says=None),
    ]


def _lengths() -> list[Case]:
    wholly = run_body()
    own = b"Content-Length: %d" % _LENGTH
    readable = {
        "twice the same": own + b"\r\n" + own,
        "a list of the same": b"Content-Length: %d, %d" % (_LENGTH, _LENGTH),
        "contradicting": own + b"\r\nContent-Length: 5",
        "contradicting the other way": b"Content-Length: 5\r\n" + own,
        "a list that contradicts": b"Content-Length: 5, %d" % _LENGTH,
        "with a plus": b"Content-Length: +%d" % _LENGTH,
        "with zeros": b"Content-Length: 000%d" % _LENGTH,
        "with an underscore": b"Content-Length: 1_%d" % _LENGTH,
        "with a fraction": b"Content-Length: %d.0" % _LENGTH,
        "hexadecimal": b"Content-Length: 0x%x" % _LENGTH,
        "negative": b"Content-Length: -%d" % _LENGTH,
        "minus one": b"Content-Length: -1",
        "a word": b"Content-Length: many",
        "empty": b"Content-Length:",
        "in Arabic digits": "Content-Length: ١٢٣".encode(),
        "one too long": b"Content-Length: %d" % (_LENGTH + 1),
        "far too long": b"Content-Length: %d" % 10**9,
        "beyond 64 bits": b"Content-Length: %d" % 10**30,
        "of 5000 digits": b"Content-Length: " + b"9" * 5000,
        "none": b"x: y",
        "with chunks": own + b"\r\nTransfer-Encoding: chunked",
    }
    found = [
        case(f"length: {name}", answer(None, header, length=False))
        for name, header in readable.items()
    ]
    zero = answer(wholly, b"Content-Length: 0", length=False)
    short = answer(wholly, b"Content-Length: %d" % (_LENGTH - 1), length=False)
    both = chunked(wholly, b"Content-Length: 5")
    return [
        *found,
        case("length: zero", zero, says=None),
        case("length: one too short", short, says=None),
        case("length: of something else, with chunks", both),
        case("length: two answers at once", answer() + answer(run_body(status="completed"))),
    ]


def _codings() -> list[Case]:
    kinds = (
        *(b"gzip", b"identity", b"xchunked", b"chunked, chunked", b"gzip, chunked"),
        *(b"chunked, gzip", b"chunked;q=1", b"Chunked", b"", b"\x0bchunked", b"chunked, identity"),
    )
    data = chunked(run_body())
    return [
        case(
            f"transfer coding {kind!r}",
            data.replace(b"Transfer-Encoding: chunked", b"Transfer-Encoding: " + kind),
        )
        for kind in kinds
    ]


def _chunks() -> list[Case]:
    body = run_body()
    size = b"%x" % len(body)
    head, tail = chunked(b"", end=b""), b"\r\n0\r\n\r\n"
    readable = {
        "a good size": size,
        "zeros before": b"0000" + size,
        "capitals": size.upper(),
        "an extension": size + b";name=value",
        "a quoted extension": size + b';name="a;b"',
        "an extension of 10 KB": size + b";" + b"x" * 10_000,
        "an extension of 1 MB": size + b";" + b"x" * 1_000_000,
        "a blank after": size + b"  ",
        "a blank before": b" " + size,
        "a plus": b"+" + size,
        "0x": b"0x" + size,
        "an underscore": b"0_" + size,
        "a bare line feed in an extension": size + b";a\nb",
        "a NUL in an extension": size + b";a\x00b",
    }
    refused = {
        "ffffffffffffffff": b"f" * 16,
        "a size of 17 digits": b"1" + b"0" * 16,
        "a size of 1 MB": b"1" * 1_000_000,
        "minus one": b"-1",
        "minus its size": b"-" + size,
        "no digits": b"",
        "a word": b"xyz",
        "an exponent": b"1e400",
        "too small": b"5",
    }
    trailers = {
        "a status": b"0\r\nstatus: completed\r\n\r\n",
        "a length": b"0\r\nContent-Length: 5\r\n\r\n",
        "no colon": b"0\r\noops\r\n\r\n",
        "none, and no end": b"0\r\n",
        "garbage after them": b"0\r\n\r\n" + bytes(1000),
        "many zeros": b"0" * 1000 + b"\r\n\r\n",
    }
    return [
        *(
            case(
                f"chunks: {name}",
                head + line + b"\r\n" + body + tail,
                must=name in {"a good size", "capitals", "an extension"},
            )
            for name, line in readable.items()
        ),
        *(
            case(f"chunks: {name}", head + line + b"\r\n" + body + tail, says=None)
            for name, line in refused.items()
        ),
        *(case(f"trailers: {name}", chunked(body, end=end)) for name, end in trailers.items()),
        case("chunks: larger than the data", head + b"ffff\r\n" + body),
        case("chunks: no line break after", head + size + b"\r\n" + body + b"0\r\n\r\n"),
        case("chunks: line feeds only", head + size + b"\n" + body + b"\n0\n\n"),
        case("chunks: of one byte", chunked(body, size=1), must=True),
        case("chunks: none", head + b"0\r\n\r\n", says=None),
        case("trailers: 10 MB", chunked(body, end=b"0\r\n"), Many(b"x: y\r\n", _TEN_MB // 6)),
        case("trailers: one of 10 MB", chunked(body, end=b"0\r\nx: "), Many(b"y" * 1024, 10240)),
    ]


CASES = [*_fields(), *_lengths(), *_codings(), *_chunks()]
