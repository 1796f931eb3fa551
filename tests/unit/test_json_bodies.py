import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.backends import json_bodies
from airflow_provider_runs.backends.json_bodies import (
    LONG,
    MOST_VALUES,
    is_heavy,
    read_json,
    without_long_texts,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_read_as_the_standard_library_reads_it(value):
    text = json.dumps(value)
    assert read_json(text.encode()) == json.loads(text)


@given(JSON)
def test_the_values_outside_texts_are_counted(value):
    content = json.dumps(value).encode()
    marks = json.dumps(_without_texts(value)).encode()
    texts = len(json_bodies_texts(content))
    at_most = sum(map(marks.count, (b",", b":", b"{", b"["))) + texts
    assert json_bodies._is_overfull(content) is (at_most > MOST_VALUES)


def _without_texts(value):
    if isinstance(value, str):
        return ""
    if isinstance(value, list):
        return [_without_texts(item) for item in value]
    if isinstance(value, dict):
        return {str(number): _without_texts(item) for number, item in enumerate(value.values())}
    return value


def json_bodies_texts(content: bytes) -> list[str]:
    found = []

    def note(value):
        if isinstance(value, str):
            found.append(value)
        for item in value.items() if isinstance(value, dict) else ():
            found.append(item[0])
            note(item[1])
        for item in value if isinstance(value, list) else ():
            note(item)

    note(json.loads(content))
    return found


@pytest.mark.parametrize("item", [b"{}", b"[]", b"1", b'"a"', b'{"a":0}', b"true", b"1.5"])
def test_more_values_than_anybody_sends_are_refused_unread(item):
    many = b"[" + b",".join([item] * (MOST_VALUES + 1)) + b"]"
    with pytest.raises(ValueError, match="more than 250000 values"):
        read_json(many)


@pytest.mark.parametrize("text", ["," * 400_000, '{"a": [1]}' * 90_000, '\\"' * 150_000, "\\" * 9])
def test_marks_within_texts_are_no_values(text):
    assert read_json(json.dumps({"text": text, "more": [1, text]}).encode())["more"] == [1, text]


def test_a_text_without_an_end_is_no_json():
    with pytest.raises(ValueError, match=r"EOF|Unterminated"):
        read_json(b'{"a": "' + b"," * 400_000)


@pytest.mark.parametrize(
    ("content", "heavy"),
    [
        (b"", False),
        (b'"' + b"a" * 200_000 + b'"', False),
        (b'"' + b"a" * 300_000 + b'"', True),
        (b"[" + b"1," * 12_000 + b"1]", True),
        (b"[" + b"1," * 3_000 + b"1]", False),
    ],
)
def test_a_body_is_heavy_by_its_length_or_by_what_it_holds(content, heavy):
    assert is_heavy(content) is heavy


def test_what_is_nested_too_deeply_is_no_json():
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(b"[" * 100_000 + b"]" * 100_000)


TEXTS = st.text(max_size=30) | st.integers(1990, 2100).map(lambda size: "\\" * size)


@given(st.recursive(TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_a_glance_sees_all_but_long_texts(value):
    content = bytearray(json.dumps(value, ensure_ascii=False).encode())

    def without(value):
        if isinstance(value, str):
            return value if len(json.dumps(value, ensure_ascii=False).encode()) <= 2000 else ""
        if isinstance(value, list):
            return [without(item) for item in value]
        return {without(name): without(item) for name, item in value.items()}

    assert json.loads(without_long_texts(content)) == without(value)


def test_what_is_long_without_long_texts_cannot_be_read():
    long = bytearray(json.dumps(["a" * 1000] * 9000).encode())
    assert len(without_long_texts(long)) == LONG
    with pytest.raises(ValueError, match=r"EOF|Unterminated"):
        read_json(without_long_texts(long))
