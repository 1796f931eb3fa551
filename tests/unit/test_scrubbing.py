import base64
import html
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs.connections.scrubbing import scrubbed

#: What a key may be made of: what a header can carry.
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=80)
SPELLINGS = {
    "raw": str,
    "repr": lambda key: repr(key)[1:-1],
    "repr of bytes": lambda key: repr(key.encode())[2:-1],
    "repr of a repr": lambda key: repr(repr(key))[2:-2],
    "json": lambda key: json.dumps(key)[1:-1],
    "url": lambda key: quote(key, safe=""),
    "html": html.escape,
    "lower": str.lower,
    "\\u": lambda key: "".join(c if c.isalnum() else f"\\u{ord(c):04X}" for c in key),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(key=KEYS, before=st.text(max_size=20), after=st.text(max_size=20))
def test_a_key_is_taken_out_however_it_is_spelled(spelling, key, before, after):
    spelled = SPELLINGS[spelling](key)
    left = scrubbed(f"{before} {spelled} {after}", frozenset({key}))
    assert "***" in left
    assert spelled not in left


@pytest.mark.parametrize("key", ["k", "7", "Zq7", "a-b", "sk-1"])
def test_a_short_key_is_taken_out_as_a_word(key):
    assert scrubbed(f"key {key}, '{key}' a{key}z", frozenset({key})) == f"key ***, '***' a{key}z"


def test_the_longer_one_of_two_secrets_goes_first():
    assert scrubbed("sk-12345678-more", frozenset({"sk-12345678", "sk-12345678-more"})) == "***"


@pytest.mark.parametrize("length", range(16 * 1024 - 60, 16 * 1024 + 10))
def test_no_part_of_a_key_is_left_where_a_long_text_is_cut(length):
    key = "sk-a/b'c\"d\\e" * 3
    left = scrubbed(" " * length + key + " " * 9000, frozenset({key}))
    assert left.strip() in {"", "***"}


def test_tokens_that_are_no_keys_of_the_connection_are_taken_out_too():
    token = "eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.c2lnbmF0dXJl"
    basic = base64.b64encode(b"user:password").decode()
    text = f"got Bearer abcdef123, {token} and Basic {basic}, bearer of news"
    assert scrubbed(text, frozenset()) == "got Bearer ***, *** and Basic ***, bearer of news"
