import gzip
import zlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.flows.failures import BodyTooLong
from airflow_provider_runs.transport.bodies import Body

MB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


ENCODE = {
    None: lambda data: data,
    "identity": lambda data: data,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP , identity": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
}


def read(pieces, coding=None, most=MB) -> bytes:
    body = Body(httpx.Headers({"content-encoding": coding} if coding else {}), most)
    for piece in pieces:
        for _ in body.take(piece):
            pass
    return bytes(body.end())


@pytest.mark.parametrize("coding", ENCODE)
@given(data=st.binary(max_size=2000), size=st.integers(1, 500))
def test_a_body_is_read_however_it_is_compressed_and_cut(coding, data, size):
    sent = ENCODE[coding](data)
    assert read([sent[at : at + size] for at in range(0, len(sent), size)], coding) == data


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "deflate, gzip", "gzip\x00"])
def test_what_was_not_asked_for_is_refused_before_any_of_it_is_read(coding):
    with pytest.raises(httpx.DecodingError, match="not asked for"):
        read([], coding)


@pytest.mark.parametrize("coding", ENCODE)
def test_a_body_that_is_too_long_is_refused_as_soon_as_it_is(coding):
    sent = ENCODE[coding](bytes(MB + 1))
    body = Body(httpx.Headers({"content-encoding": coding} if coding else {}), MB)
    with pytest.raises(BodyTooLong, match="longer than 1 MB"):
        list(body.take(sent))
    assert len(body.content) <= MB + 256 * 1024
    assert read([ENCODE[coding](bytes(MB))], coding) == bytes(MB)


def test_a_bomb_is_never_larger_than_its_bound():
    bomb, body = (
        gzip.compress(bytes(200 * MB)),
        Body(httpx.Headers({"content-encoding": "gzip"}), MB),
    )
    with pytest.raises(BodyTooLong):
        list(body.take(bomb))
    assert len(body.content) <= MB + 256 * 1024


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (gzip.compress(b"hello" * 9)[:-4], "breaks off"),
        (b"hello", "not gzip data"),
        (gzip.compress(b"hello" * 9)[:20] + b"garbage", "not gzip data"),
    ],
    ids=["cut", "text", "garbage"],  # not the data: it holds the time
)
def test_what_is_no_whole_gzip_data_is_refused(sent, words):
    with pytest.raises(httpx.DecodingError, match=words):
        read([sent], "gzip")


def test_what_follows_the_end_of_the_data_is_not_read():
    assert read([gzip.compress(b"hello"), b"more", gzip.compress(b"more")], "gzip") == b"hello"


def test_an_empty_body_is_empty_whatever_its_coding():
    assert read([], "gzip") == b""
