"""The body of an answer: decompressed, and bounded in every step.

A few bytes can decompress to gigabytes. So answers are asked for as they are, and a server that
compresses them all the same may do it once, in a way that every server can.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import httpx

from airflow_provider_runs.flows.failures import BodyTooLong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Body"]

#: Bytes that one step decompresses at most.
_STEP = 256 * 1024
#: What zlib is told of each coding: how its data begins (RFC 9110, 8.4.1).
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
#: Bytes that tell whether the data has the header that deflate should have; some servers forget it.
_HEADER = 2
_ONE_STEP = (None,)


class Body:
    """The body of one answer.

    :param headers: the answer's.
    :param most: the longest body that is accepted, in bytes, compressed or not.
    :raises httpx.DecodingError: if it is compressed in a way that was not asked for.
    """

    def __init__(self, headers: httpx.Headers, most: int) -> None:
        self.content = bytearray()
        self._most = most
        self._came = 0
        self._coding = _coding(headers)
        self._decoder: zlib._Decompress | None = None
        self._begin = b""  # what came before it was clear how it is compressed

    def take(self, chunk: bytes) -> Iterable[None]:
        """Take what has arrived; each step takes about a millisecond at most.

        :param chunk: the bytes.
        :raises httpx.RequestError: if the body is too long or cannot be decompressed.
        """
        self._came += len(chunk)
        if self._came > self._most:
            raise BodyTooLong(self._most)
        if self._coding:
            return self._decompress(self._begin + chunk)
        self.content += chunk
        return _ONE_STEP

    def _decompress(self, chunk: bytes) -> Iterator[None]:
        if self._decoder is None:
            self._begin = chunk
            if len(chunk) < _HEADER:
                return
            self._decoder = zlib.decompressobj(_window(self._coding, chunk))
        self._begin = b""
        while chunk and not self._decoder.eof:
            try:
                self.content += self._decoder.decompress(chunk, _STEP)
            except zlib.error as error:
                raise httpx.DecodingError(f"it is not {self._coding} data ({error})") from None
            if len(self.content) > self._most:
                raise BodyTooLong(self._most)
            chunk = self._decoder.unconsumed_tail
            yield

    def end(self) -> bytearray:
        """Return the body, now that all of it has arrived.

        :raises httpx.DecodingError: if it breaks off.
        """
        if self._coding and self._came and not (self._decoder and self._decoder.eof):
            raise httpx.DecodingError(f"the {self._coding} data breaks off")
        return self.content


def _window(coding: str, begin: bytes) -> int:
    """Return what zlib is told of data that begins like this (RFC 1950, 2.2)."""
    has_header = begin[0] & 0x0F == zlib.DEFLATED and int.from_bytes(begin[:_HEADER]) % 31 == 0
    return _WINDOWS[coding] if coding != "deflate" or has_header else -zlib.MAX_WBITS


def _coding(headers: httpx.Headers) -> str:
    """Return how a body is compressed; empty if it is not."""
    said = str(headers.get("content-encoding", "")).lower().split(",")
    codings = [coding.strip() for coding in said if coding.strip() not in {"", "identity"}]
    if not codings:
        return ""
    if len(codings) > 1 or codings[0] not in _WINDOWS:
        words = ", ".join(codings)[:100]
        raise httpx.DecodingError(f"it is compressed in a way that was not asked for: {words!r}")
    return codings[0]
