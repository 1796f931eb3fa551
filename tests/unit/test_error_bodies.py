"""The message and the codes in the body of an error, in whichever form it is."""

from __future__ import annotations

import pytest

from airflow_provider_runs.backends.error_bodies import codes_in, text_in, words_in


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "No.", "type": "t", "code": "c"}}, "No."),
        ({"object": "error", "message": "No.", "type": "t", "code": 404}, "No."),
        ({"error": "No."}, "No."),
        ({"error": {"error": {"message": "No."}}}, "No."),
        ({"detail": "No."}, "No."),
        ({"detail": {"error": {"message": "No."}}}, "No."),
        ({"message": "No.", "error": "Bad Request", "statusCode": 400}, "No."),
        ({"error": {"code": 5}, "message": "No."}, "No."),
        ({"error": "invalid_token", "error_description": "It is over."}, "It is over."),
        ({"message": ["a must be b", "c is long"]}, "a must be b; c is long"),
        ({"errors": [{"message": "No.", "code": "c"}]}, "No."),
        ({"errors": {"detail": "No."}}, "No."),
        ({"error": [{"msg": "No."}]}, "No."),
        (
            {"detail": [{"loc": ["path", "run_id"], "msg": "not a uuid", "type": "uuid_parsing"}]},
            "path.run_id: not a uuid",
        ),
        (
            {"detail": [{"loc": ["query", "a"], "msg": "missing"}, {"loc": ["b"], "msg": "bad"}]},
            "query.a: missing; b: bad",
        ),
        ({"type": "about:blank", "title": "Gone", "detail": "It ended."}, "It ended."),
        ({"fault": {"faultstring": "No.", "detail": {"errorcode": "e"}}}, "No."),
        ({"Message": "No."}, "No."),
        ([{"error": {"message": "No."}}], "No."),
        ("No.", "No."),
        (None, ""),
        (5, ""),
        ({"a": {"message": "of something else"}}, ""),
    ],
)
def test_words_are_found_in_any_usual_form(body, words):
    assert words_in(body) == words


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ({"error": {"code": "c", "type": "t"}}, ["c", "t"]),
        ({"error": {"code": "inner"}, "code": "outer"}, ["inner", "outer"]),
        ({"code": 404, "type": None}, ["404"]),
        ({"code": True, "type": ["t"]}, []),
        ({"error_code": "c"}, ["c"]),
        ({"error": "not_found", "message": "No."}, ["not_found"]),
        ({"error": "Not Found"}, []),
        ({"errors": [{"code": "a"}, {"code": "b"}]}, ["a", "b"]),
        ({"detail": {"code": "c"}}, ["c"]),
        ({"detail": [{"loc": ["path"], "type": "uuid_parsing"}]}, ["uuid_parsing"]),
        ({"error": {"code": 404, "details": [{"reason": "R"}]}}, ["404", "R"]),
        ("text", []),
        (None, []),
    ],
)
def test_codes_are_found_in_any_usual_form_the_innermost_first(body, codes):
    assert codes_in(body) == codes


def test_nothing_is_read_from_too_deep():
    body: dict[str, object] = {"message": "deep", "code": "deep"}
    for _ in range(50):
        body = {"error": body}
    assert (words_in(body), codes_in(body)) == ("", [])


def test_a_text_is_one_line_and_not_endless():
    assert text_in(b" No\n\t such  thing \r\n") == "No such thing"
    assert len(text_in(b"x" * 10_000)) == 10_000
    assert text_in(b"x" * 100_000) == ""  # no error is that long
