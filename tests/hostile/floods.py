"""A process that serves floods and bombs, each under a path of its own; ``good`` is a good answer.

It prints its port, and ends when its standard input does. It needs the standard library only.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from typing import TYPE_CHECKING

from tests.hostile.answers import RUN_ID, THREAD_ID, answer, chunked, run_body
from tests.hostile.wire import Many, RawServer, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FLOODS", "QUICK"]

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
#: As long as an answer may be that is read at all, nearly.
LONG = 3_900_000
_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKS = chunked(b"", end=b"")
_RUN = b'{"id": "%s", "thread_id": "%s", "status": "in_progress", ' % (
    RUN_ID.encode(),
    THREAD_ID.encode(),
)


def _zeros(size: int) -> bytes:
    """Return raw deflate that decodes to so many zeros, without compressing them all."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size // MB) + packer.flush(zlib.Z_FINISH)


def _gzip(raw: bytes) -> bytes:
    """Wrap raw deflate; its checksum, which only shows at its end, is wrong."""
    return gzip.compress(b"")[:10] + raw + bytes(8)


def _zstd(size: int) -> bytes:
    """Return zstd that decodes to so many zeros: blocks that repeat one byte."""
    block = ((128 * KB) << 3 | 1 << 1).to_bytes(3, "little") + b"\x00"
    return b"\x28\xb5\x2f\xfd\x00\x70" + block * (size // (128 * KB))


def _packed(label: bytes, data: bytes) -> tuple[Step, ...]:
    return (answer(data, b"Content-Encoding: " + label),)


def _length(size: int) -> bytes:
    return answer(b"", b"Content-Length: %d" % size, length=False)


def _filled(before: bytes, item: bytes, after: bytes, size: int = LONG) -> tuple[Step, ...]:
    """Return the steps of a JSON body that is filled with items; the last is without its comma."""
    count = (size - len(before) - len(after)) // len(item)
    body = before + item * (count - 1) + item.removesuffix(b",") + after
    return (answer(body),)


def _array(item: bytes, size: int = LONG) -> tuple[Step, ...]:
    return _filled(b"[", item, b"]", size)


def _run(before: bytes, item: bytes, after: bytes) -> tuple[Step, ...]:
    return _filled(_RUN + before, item, after + b"}")


def _refusal(status: bytes, text: bytes) -> tuple[Step, ...]:
    body = b'{"error": {"message": "' + text * (LONG // len(text)) + b'", "code": "x"}}'
    return (answer(body, status=b"HTTP/1.1 " + status),)


def _keys() -> bytes:
    return b"{" + b", ".join(b'"k%d": 0' % n for n in range(LONG // 13)) + b"}"


FLOODS: dict[str, Callable[[], Iterable[Step]]] = {
    "good": lambda: (answer(),),
    # -- bytes that grow when they are decoded
    "gzip-thrice": lambda: _packed(
        b"gzip, gzip, gzip", gzip.compress(gzip.compress(_gzip(_zeros(4 * GB))))
    ),
    "gzip-twice": lambda: _packed(b"gzip, gzip", gzip.compress(_gzip(_zeros(4 * GB)))),
    "gzip": lambda: _packed(b"gzip", _gzip(_zeros(GB))),
    "gzip-in-chunks": lambda: (
        chunked(_gzip(_zeros(GB)), b"Content-Encoding: gzip", size=64 * KB),
    ),
    "deflate-raw": lambda: _packed(b"deflate", _zeros(GB)),
    "deflate-zlib": lambda: _packed(b"deflate", b"\x78\xda" + _zeros(GB)),
    "gzip-of-blanks": lambda: _packed(b"gzip", gzip.compress(b" " * (30 * MB) + run_body())),
    "gzip-of-members": lambda: _packed(b"gzip", gzip.compress(b"") * (LONG // 20)),
    "gzip-of-empty-blocks": lambda: (
        answer(b"", b"Content-Encoding: gzip", length=False) + gzip.compress(b"")[:10],
        Many(b"\x00\x00\x00\xff\xff"),
    ),
    "zstd": lambda: _packed(b"zstd", _zstd(GB)),
    "br": lambda: (
        answer(b"", b"Content-Encoding: br", b"Content-Length: %d" % GB, length=False),
        Many(b"\xff" * KB, GB // KB),
    ),
    # -- bytes without end
    "body-of-1-gb": lambda: (_length(GB), Many(b" " * KB, GB // KB)),
    "body-of-1-gb-in-chunks": lambda: (_CHUNKS, Many(b"10000\r\n%s\r\n" % (b" " * 64 * KB), 16384)),
    "body-without-end": lambda: (answer(b"", length=False), Many(b" " * KB)),
    "body-of-tiny-chunks": lambda: (
        chunked(_RUN + b'"instructions": "', end=b""),
        Many(b"1\r\nx\r\n", LONG),
        b'2\r\n"}\r\n0\r\n\r\n',
    ),
    "interim-answers": lambda: (Many(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),),
    "header-of-100-mb": lambda: (_OK + b"x-odd: ", Many(b"x" * KB, 100 * KB)),
    "headers-of-100-mb": lambda: (_OK, Many(b"x-odd: 1\r\n", 10 * MB)),
    "status-line-of-100-mb": lambda: (_OK[:-2], Many(b"x" * KB, 100 * KB)),
    "empty-lines": lambda: (Many(b"\r\n"),),
    "chunk-extension": lambda: (_CHUNKS + b"5;", Many(b"x" * KB)),
    "chunk-size-of-zeros": lambda: (_CHUNKS, Many(b"0" * KB)),
    "trailers": lambda: (chunked(run_body(), end=b"0\r\n"), Many(b"x-odd: 1\r\n")),
    # -- JSON that grows when it is read
    "objects-30-mb": lambda: _array(b"{},", 30 * MB),
    "objects": lambda: _array(b"{},"),
    "arrays": lambda: _array(b"[],"),
    "numbers": lambda: _array(b"1,"),
    "texts": lambda: _array(b'"a",'),
    "objects-with-a-name": lambda: _array(b'{"a":0},'),
    "metadata": lambda: _run(b'"metadata": {"list": [', b"{},", b"]}"),
    "metadata-of-numbers": lambda: _run(b'"metadata": {"list": [', b"1,", b"]}"),
    "metadata-of-floats": lambda: _run(b'"metadata": {"list": [', b"1e1,", b"]}"),
    "metadata-of-names": lambda: (answer(_RUN + b'"metadata": ' + _keys() + b"}"),),
    "names": lambda: (answer(_RUN + _keys()[1:]),),
    "tools": lambda: _run(b'"tools": [', b"{},", b"]"),
    "tools-with-types": lambda: _run(b'"tools": [', b'{"type":1},', b"]"),
    "tool-calls": lambda: _run(
        b'"required_action": {"submit_tool_outputs": {"tool_calls": [', b"{},", b"]}}"
    ),
    "emoji": lambda: _run(b'"instructions": "', "\U0001f600".encode(), b'"'),
    "one-emoji-in-ascii": lambda: _run(b'"instructions": "' + "\U0001f600".encode(), b"x", b'"'),
    "escapes": lambda: _run(b'"instructions": "', b"\\u00e9", b'"'),
    "lone-surrogates": lambda: _run(b'"instructions": "', b"\\ud83d", b'"'),
    "a-long-status": lambda: (answer(run_body(status="x" * LONG)),),
    "a-long-id": lambda: (answer(run_body(id="x" * LONG)),),
    "a-long-number": lambda: _run(b'"created_at": 1', b"0", b""),
    "a-long-fraction": lambda: _run(b'"created_at": 0.', b"1", b""),
    "depth": lambda: (answer(b"[" * LONG),),
    "depth-in-a-run": lambda: _run(b'"metadata": ', b'{"a":', b"1"),
    # -- refusals
    "a-long-refusal": lambda: _refusal(b"404 Not Found", b"x"),
    "a-long-refusal-of-words": lambda: _refusal(b"404 Not Found", b"no such run "),
    "a-long-refusal-of-paths": lambda: _refusal(b"400 Bad Request", b"/x "),
    "a-long-text": lambda: (answer(b"x" * LONG, status=b"HTTP/1.1 500 Broken"),),
    "a-long-page": lambda: (
        answer(b"<html>" + b"<b>x</b>" * (LONG // 8), status=b"HTTP/1.1 502 Bad Gateway"),
    ),
}
#: The representative third.
QUICK = (
    *("gzip-thrice", "gzip", "deflate-zlib", "zstd", "gzip-of-empty-blocks", "body-of-1-gb"),
    *("body-of-tiny-chunks", "interim-answers", "header-of-100-mb", "objects", "metadata", "tools"),
    *("emoji", "a-long-status", "a-long-number", "a-long-refusal", "lone-surrogates"),
)


def _play(request: bytes) -> Iterable[Step]:
    name = request.split(b"/", 2)[1].decode()
    return FLOODS[name]()


if __name__ == "__main__":
    with RawServer(_play) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        sys.stdin.read()
