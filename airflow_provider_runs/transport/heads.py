"""The bound of an answer's head: its status line, its headers, and all 1xx answers before it."""

from __future__ import annotations

import re

__all__ = ["HEAD", "Head", "HeadTooLong"]

#: The longest head that is read, in bytes. h11 has the same bound, for the headers alone.
HEAD = 100 * 1024
#: The status line of an answer that is not a 1xx one.
_FINAL = re.compile(rb"^HTTP/\d\.\d (?!1)\d\d\d", re.MULTILINE)
#: Bytes of a line after which it is clear whether it is one.
_STATUS_LINE = len(b"HTTP/1.1 200")


class HeadTooLong(Exception):  # noqa: N818 - it says what is wrong
    """The head of an answer is longer than anything that it could have to say."""


class Head:
    """Watches the bytes of a connection: each answer's head must be complete in time."""

    __slots__ = ("_read", "_scanned", "_starts_at")

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Record that a request is sent: what comes next is the head of its answer."""
        self._read: bytearray | None = bytearray()  # None once the head is complete
        self._starts_at = -1  # where the answer begins that is no 1xx one
        self._scanned = 0

    def take(self, data: bytes) -> None:
        """Record bytes that have been read.

        :param data: the bytes.
        :raises HeadTooLong: if the head is still not complete, but longer than ``HEAD``.
        """
        read = self._read
        if read is None:
            return
        read += data
        if self._starts_at < 0:
            final = _FINAL.search(read, self._scanned)
            self._starts_at = final.start() if final else -1
            self._scanned = final.start() if final else _next_scan(read)
        if self._starts_at >= 0:
            if any(read.find(blank, self._scanned) >= 0 for blank in (b"\n\r\n", b"\n\n")):
                self._read = None
                return
            self._scanned = max(self._starts_at, len(read) - 2)
        if len(read) > HEAD:
            raise HeadTooLong(f"the head of the answer is longer than {HEAD // 1024} KB")


def _next_scan(read: bytearray) -> int:
    """Return from where to look for a status line again: from a line that has only just begun."""
    line = read.rfind(b"\n") + 1
    return line if len(read) - line < _STATUS_LINE else len(read)
