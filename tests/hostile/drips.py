"""Servers that give a little at a time, for ever, or nothing at all."""

from __future__ import annotations

import gzip

from tests.hostile.answers import answer, chunked, run_body
from tests.hostile.cases import Case, case
from tests.hostile.wire import End, Many, Step, drip, nothing, slowly

__all__ = ["DRIPS", "TLS_DRIPS"]

#: Seconds between two bytes. The slow one is just shorter than what a read may take.
PAUSE, SLOW = 0.05, 0.9
_OK = b"HTTP/1.1 200 OK\r\n"
_HEAD = answer(b"", length=False)
_CHUNKS = chunked(b"", end=b"")
_EARLY = b"HTTP/1.1 103 Early Hints\r\n\r\n"
#: Where a gzip's header ends, and a block of it that decodes to nothing.
_GZIP = gzip.compress(b"")[:10]
_EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


def _gzipped(*rest: Step, label: bytes = b"gzip") -> tuple[Step, ...]:
    return (answer(b"", b"Content-Encoding: " + label, length=False), *rest)


def _drips() -> dict[str, tuple[Step, ...]]:
    long = b"Content-Length: 1000000\r\n\r\n"
    return {
        "the status line, byte by byte": (*drip(_OK[:13], PAUSE), Many(b"O", pause=PAUSE)),
        "the digits of the status": (_OK[:9], Many(b"2", pause=PAUSE)),
        "empty lines before the status": (Many(b"\r\n", pause=PAUSE),),
        "a header, byte by byte": (_OK + b"x-odd: ", Many(b"x", pause=PAUSE)),
        "a header, slowly": (_OK + b"x-odd: ", Many(b"x", pause=SLOW)),
        "a header's name": (_OK, Many(b"x", pause=PAUSE)),
        "headers, one by one": (_OK, Many(b"x: y\r\n", pause=PAUSE)),
        "1xx, again and again": (Many(_EARLY, pause=PAUSE),),
        "1xx, slowly": (Many(_EARLY, pause=SLOW),),
        "1xx, byte by byte": (*drip(_EARLY * 50, PAUSE), End.SILENCE),
        "a chunk's size": (_CHUNKS, Many(b"0", pause=PAUSE)),
        "a chunk's extension": (_CHUNKS + b"5;", Many(b"x", pause=PAUSE)),
        "a chunk, byte by byte": (_CHUNKS + b"fffff\r\n", Many(b" ", pause=PAUSE)),
        "chunks of one byte": (_CHUNKS, Many(b"1\r\n \r\n", pause=PAUSE)),
        "trailers, one by one": (chunked(run_body(), end=b"0\r\n"), Many(b"x: y\r\n", pause=PAUSE)),
        "a trailer, byte by byte": (chunked(run_body(), end=b"0\r\nx: "), Many(b"y", pause=PAUSE)),
        "the body, byte by byte": (_OK + long, Many(b" ", pause=PAUSE)),
        "the body, slowly": (_OK + long, Many(b" ", pause=SLOW)),
        "a body without a length": (_HEAD, Many(b" ", pause=PAUSE)),
        "gzip that decodes to nothing": _gzipped(_GZIP, Many(_EMPTY_BLOCK, pause=PAUSE)),
        "gzip with an endless name": _gzipped(
            _GZIP[:3] + b"\x08" + _GZIP[4:], Many(b"x", pause=PAUSE)
        ),
        "deflate that decodes to nothing": _gzipped(
            b"\x78\x9c", Many(_EMPTY_BLOCK, pause=PAUSE), label=b"deflate"
        ),
        "a good answer, far too slowly": (*drip(answer(), 0.2), End.SILENCE),
        "silence after the request": (End.SILENCE,),
        "silence in the status line": (_OK[:5], End.SILENCE),
        "silence in the headers": (_OK + b"x-odd: ", End.SILENCE),
        "silence after the headers": (_OK + long, End.SILENCE),
        "silence in the body": (_OK + long + b"{", End.SILENCE),
        "silence in a chunk": (_CHUNKS + b"fffff\r\n{", End.SILENCE),
        "silence before the last chunk": (chunked(run_body(), end=b""), End.SILENCE),
        "silence in gzip": _gzipped(_GZIP, End.SILENCE),
        "silence after a 100": (b"HTTP/1.1 100 Continue\r\n\r\n", End.SILENCE),
        "silence after a 101": (b"HTTP/1.1 101 Odd\r\nUpgrade: x\r\n\r\n", End.SILENCE),
    }


DRIPS: list[Case] = [
    *(case(name, *steps) for name, steps in _drips().items()),
    case("silence after connecting", End.SILENCE, read=nothing),
    case("the request is read byte by byte", End.SILENCE, read=slowly),
]
#: The same for an https URL: the handshake never ends.
TLS_DRIPS: list[Case] = [
    case("TLS: silence", End.SILENCE, read=nothing),
    case(
        "TLS: a record's header, byte by byte",
        *drip(b"\x16\x03\x03\x3f\xff", 0.2),
        Many(b"\x00", pause=PAUSE),
        read=nothing,
    ),
    case(
        "TLS: a hello, byte by byte",
        b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb",
        Many(b"\x03", pause=PAUSE),
        read=nothing,
    ),
    case(
        "TLS: a hello, slowly",
        b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb",
        Many(b"\x03", pause=SLOW),
        read=nothing,
    ),
]
