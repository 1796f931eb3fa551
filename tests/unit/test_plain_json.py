import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.plain_json import plain_json, whole_text

ANY_TEXT = st.text(st.characters(exclude_categories=()))
#: What a JSON decoder of Python's may return, lone surrogates, NaN and long numbers among it.
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63, 2**5000)
    | st.floats()
    | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
)


@given(ANY_JSON)
def test_whatever_came_can_be_encoded_by_airflow_and_as_utf_8(value):
    plain = plain_json(value)
    msgspec.msgpack.encode(plain)  # as Airflow's triggerer does
    json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    assert plain_json(plain) == plain


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (2**63, 2**63),
        (2**64, str(2**64)),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (2**5000, None),
        (math.nan, None),
        (math.inf, None),
        (1.5, 1.5),
        (True, True),
        ("\ud83d", "?"),
        ({"\ud83d": ["a", "b\ude00"]}, {"?": ["a", "b?"]}),
    ],
)
def test_what_no_reader_takes_becomes_what_all_take(value, plain):
    assert plain_json(value) == plain
    assert type(plain_json(value)) is type(plain)


def test_what_lies_too_deep_is_left_out():
    deep: object = "bottom"
    for _ in range(1000):
        deep = [deep]
    plain, depth = plain_json(deep), 0
    while plain:
        plain, depth = plain[0], depth + 1
    assert depth == 100


@given(ANY_TEXT)
def test_a_whole_text_keeps_all_that_can_be_encoded(text):
    whole = whole_text(text)
    whole.encode()
    assert len(whole) == len(text)
    assert all(
        new == old or (new == "?" and (old == "\0" or 0xD800 <= ord(old) <= 0xDFFF))
        for new, old in zip(whole, text, strict=True)
    )
