import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.transport.heads import HEAD, Head, HeadTooLong

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"


def take_all(pieces) -> Head:
    head = Head()
    for piece in pieces:
        head.take(piece)
    return head


@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 3))
def test_a_head_ends_wherever_it_is_cut(cuts, interim):
    left, pieces = CONTINUE * interim + OK, []
    for cut in cuts:
        pieces.append(left[:cut])
        left = left[cut:]
    take_all([*pieces, left, *[b"body" * HEAD] * 2])


@pytest.mark.parametrize(
    "flood",
    [
        [CONTINUE] * HEAD,
        [b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * HEAD],
        [b"HTTP/1.1 200 OK\r\na: " + b"b" * 2 * HEAD],
        [b"HTTP/1.1 103 Early\r\n" + b"a: b\r\n" * 2 * HEAD],
        [b"x" * 2 * HEAD],
        [b"x"] * (HEAD + 1),
    ],
)
def test_a_head_without_an_end_is_too_long(flood):
    with pytest.raises(HeadTooLong, match="100 KB"):
        take_all(flood)


def test_each_answer_of_a_connection_has_a_head_of_its_own():
    head = take_all([OK, b"hello" * HEAD])
    head.begin()
    with pytest.raises(HeadTooLong):
        head.take(b"x" * 2 * HEAD)
