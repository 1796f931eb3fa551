"""Answers with odd bodies: encodings, charsets, and JSON that few parsers agree on."""

from __future__ import annotations

import gzip
import json
import zlib

from tests.hostile.answers import RUN_ID, THREAD_ID, answer, run_body, run_with
from tests.hostile.cases import UNKNOWN, Case, case

__all__ = ["CASES"]

_LONE = "\\ud83d"
#: The fields of a run that a hostile value is put into.
_FIELDS = (
    *("object", "created_at", "thread_id", "assistant_id", "required_action", "last_error"),
    *("expires_at", "started_at", "cancelled_at", "failed_at", "completed_at", "model"),
    *("incomplete_details", "instructions", "tools", "metadata", "usage", "temperature", "top_p"),
    *("max_prompt_tokens", "max_completion_tokens", "truncation_strategy", "tool_choice"),
    *("parallel_tool_calls", "response_format", "odd"),
)


def _encoded() -> list[Case]:
    body = run_body()
    packed, raw = gzip.compress(body), zlib.compress(body)[2:-4]
    thrice = gzip.compress(gzip.compress(packed))
    half = len(packed) // 2
    spoilt = packed[:-8] + bytes(4) + packed[-4:]
    lied = packed[:-4] + bytes(4)
    good = {
        "gzip": (b"gzip", packed),
        "deflate with zlib's header": (b"deflate", zlib.compress(body)),
        "raw deflate": (b"deflate", raw),
        "identity": (b"identity", body),
    }
    odd = {
        "an empty name": (b"", body),
        "GZIP": (b"GZIP", packed),
        "x-gzip": (b"x-gzip", packed),
        "gzip twice, three times packed": (b"gzip, gzip", thrice),
        "gzip three times": (b"gzip, gzip, gzip", thrice),
        "gzip a hundred times": (b", ".join([b"gzip"] * 100), packed),
        "gzip that is none": (b"gzip", body),
        "deflate that is gzip": (b"deflate", packed),
        "gzip that is deflate": (b"gzip", zlib.compress(body)),
        "br that is none": (b"br", body),
        "zstd that is none": (b"zstd", body),
        "an unknown one": (b"rot13", body),
        "commas": (b",,,", body),
        "NULs": (b"gz\x00ip", body),
        "gzip with a garbage tail": (b"gzip", packed + b"\x00garbage" * 100),
        "gzip and more gzip": (b"gzip", packed + gzip.compress(b"  ")),
        "gzip with a wrong checksum": (b"gzip", spoilt),
        "gzip with a wrong size": (b"gzip", lied),
        "gzip without its end": (b"gzip", packed[:-8]),
    }
    none = {
        "gzip of nothing": (b"gzip", gzip.compress(b"")),
        "gzip that is empty": (b"gzip", b""),
        "gzip that is cut": (b"gzip", packed[:half]),
        "gzip of half a run": (b"gzip", gzip.compress(body[:40])),
        "gzip that is garbage": (b"gzip", packed[:10] + b"\xff" * 500),
        "gzip of gzip": (b"gzip", gzip.compress(packed)),
        "deflate that is garbage": (b"deflate", b"\xff" * 500),
        "deflate that is cut": (b"deflate", zlib.compress(body)[:half]),
        "br that is garbage": (b"br", b"\xff" * 500),
        "zstd that is garbage": (b"zstd", b"\x28\xb5\x2f\xfd" + b"\xff" * 500),
        "no label": (b"identity", packed),
    }
    return [
        case(f"encoding: {name}", answer(data, b"Content-Encoding: " + label), says=says, must=must)
        for kinds, says, must in (
            (good, "in_progress", True),
            (odd, "in_progress", False),
            (none, None, False),
        )
        for name, (label, data) in kinds.items()
    ]


def _texts() -> list[Case]:
    body = run_body()
    text = body.decode()
    odd = {
        "a byte order mark": b"\xef\xbb\xbf" + body,
        "UTF-16": text.encode("utf-16"),
        "UTF-16 without a mark": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32"),
        "NULs after": body + bytes(100),
        "NULs before": bytes(100) + body,
        "blanks around": b" \r\n\t" * 1000 + body + b" " * 1000,
        "a second run after": body + run_body(status="completed"),
        "a comma after": body[:-1] + b",}",
        "a comment": b"/* odd */" + body,
        "single quotes": body.replace(b'"', b"'"),
        "JSONP": b"callback(" + body + b");",
        "a guard before": b")]}',\n" + body,
        "an event stream": b"data: " + body + b"\n\n",
        "an invalid byte": run_with(b'"model": "\xff\xfe"'),
        "an overlong character": run_with(b'"model": "\xc0\xaf"'),
        "a surrogate in UTF-8": run_with(b'"model": "\xed\xa0\xbd"'),
        "a bare line break in a text": run_with(b'"model": "a\nb"'),
        "keys twice": run_with(f'"id": "{RUN_ID}", "status": "in_progress"'),
    }
    none = {
        "empty": b"",
        "blank": b"  \r\n",
        "cut": body[: len(body) // 2],
        "null": b"null",
        "true": b"true",
        "a number": b"1",
        "a text": b'"completed"',
        "an empty array": b"[]",
        "an empty object": b"{}",
        "a run in an array": b"[" + body + b"]",
        "a run in an object": b'{"run": ' + body + b"}",
        "NaN": b"NaN",
        "HTML": b"<!doctype html><title>completed</title>",
        "XML": b"<?xml version='1.0'?><status>completed</status>",
        "100,000 open brackets": b"[" * 100_000,
        "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
        "100,000 open braces": b'{"a":' * 100_000,
    }
    lies = (b"utf-16", b"utf-7", b"idna", b"rot13", b"zip", b"no-such", b"base64")
    return [
        *(case(f"body: {name}", answer(data)) for name, data in odd.items()),
        *(case(f"body: {name}", answer(data), says=None) for name, data in none.items()),
        *(
            case(
                f"body: charset {lie.decode()}",
                answer().replace(b"application/json", b"application/json; charset=" + lie),
                must=True,
            )
            for lie in lies
        ),
        case(
            "body: the status twice",
            answer(run_with('"status": "completed"')),
            says="completed",
        ),
    ]


def _statuses() -> list[Case]:
    others = {
        "absent": run_body().replace(b'"status"', b'"state"'),
        "an array": run_body(status=["completed"]),
        "an object": run_body(status={"completed": "completed"}),
        "null": run_body(status=None, raw_status="completed"),
        "true": run_body(status=True),
        "a number": run_body(status=200, raw_status="completed"),
        "only raw": run_body(raw_status="completed").replace(b'"status"', b'"state"'),
        "in the metadata": json.dumps(
            {"id": RUN_ID, "thread_id": THREAD_ID, "metadata": {"status": "completed"}}
        ).encode(),
    }
    words = {
        "empty": "",
        "blank": "  ",
        "with a line break": "in_progress\ncompleted",
        "with a line separator": "odd\u2028completed",
        "with terminal escapes": "\x1b[2J\x1b[31mcompleted",
        "with a NUL": "completed\x00",
        "with a zero-width space": "comp\u200bleted",
        "in Cyrillic letters": "с\u043empleted",  # noqa: RUF001 - that is the point
        "written backwards": "\u202edetelpmoc",
        "half a character": "completed\ud83d",
        "a hundred lines": "completed\r\n" * 100,
        "of 3 MB": "x" * 3_000_000,
        "of 3 MB of line breaks": "\n" * 3_000_000,
        "a list of them": "in_progress,completed",
    }
    return [
        *(case(f"status: {name}", answer(data), says=None) for name, data in others.items()),
        *(
            case(f"status: {name}", answer(run_body(status=word)), says=UNKNOWN)
            for name, word in words.items()
        ),
        case("status: another raw one", answer(run_body(raw_status="completed")), must=True),
        case(
            "status: an odd raw one",
            answer(run_body(raw_status={"a": ["completed"]}, model_extra={"status": "completed"})),
            must=True,
        ),
    ]


def _ids() -> list[Case]:
    kinds = {
        "of another run": "run_2",
        "empty": "",
        "null": None,
        "an array": [RUN_ID],
        "a number": 1,
        "of 3 MB": "run_" + "1" * 3_000_000,
        "with a line break": f"{RUN_ID}\nstatus: completed",
        "with terminal escapes": f"\x1b[2J{RUN_ID}",
        "half a character": f"{RUN_ID}\ud83d",
        "with a NUL": f"{RUN_ID}\x00",
        "in fullwidth letters": "ｒｕｎ_1",  # noqa: RUF001 - that is the point
    }
    completed = {"status": "completed"}
    return [
        case(f"id: {name}", answer(run_body(id=value, **completed)), says=None)
        for name, value in kinds.items()
    ]


def _values() -> list[Case]:
    numbers = {
        "2**64": "18446744073709551616",
        "10**25": "10000000000000000000000000",
        "-2**63 - 1": "-9223372036854775809",
        "1e400": "1e400",
        "-1e400": "-1e400",
        "-0": "-0",
        "-0.0": "-0.0",
        "1e-400": "1e-400",
        "1e300": "1e300",
        "1e14": "1e14",
    }
    odd = {
        "NaN": "NaN",
        "Infinity": "Infinity",
        "-Infinity": "-Infinity",
        "5000 digits": "1" * 5000,
        "100,000 digits": "1" * 100_000,
        "an exponent of 5000 digits": "1e" + "9" * 5000,
        "100,000 digits after the point": "0." + "1" * 100_000,
        "zeros before": "007",
        "hexadecimal": "0x10",
        "a plus": "+1",
        "undefined": "undefined",
    }
    found = [
        case(f"number: {name}", answer(run_with(f'"created_at": {text}')), must=True)
        for name, text in numbers.items()
    ]
    found += [
        case(f"number: {name}", answer(run_with(f'"created_at": {text}')))
        for name, text in odd.items()
    ]
    strings = {
        "a year 99999": '"99999-01-01T00:00:00Z"',
        "a year 1": '"0001-01-01T00:00:00+14:00"',
        "a year 9999": '"9999-12-31T23:59:59-14:00"',
        "an odd zone": '"2024-01-01T00:00:00+99:99"',
        "T": '"T"',
    }
    found += [
        case(f"time: {name}", answer(run_with(f'"created_at": {text}')), must=True)
        for name, text in strings.items()
    ]
    everywhere = {
        "2**64": "18446744073709551616",
        "10**25": "1" + "0" * 25,
        "1e400": "1e400",
        "half a character": f'"{_LONE}"',
        "half a character in an array": f'["{_LONE}", {{"{_LONE}": "{_LONE}"}}]',
        "an object of odd names": f'{{"{_LONE}": 1, "": 2, "__proto__": 3, "a\\u0000b": 4}}',
        "an array": "[[], [[]], [{}]]",
        "true": "true",
        "an escape": '"\\u001b[2J"',
    }
    for name, text in everywhere.items():
        fields = ", ".join(f'"{field}": {text}' for field in _FIELDS if field != "thread_id")
        found.append(case(f"every field: {name}", answer(run_with(fields)), must=True))
        found.append(case(f"thread id: {name}", answer(run_with(f'"thread_id": {text}'))))
    return found


def _depths() -> list[Case]:
    found = []
    for levels in (99, 100, 101, 150, 198, 199, 250, 990, 100_000):
        for name, opening, closing in (("arrays", "[", "]"), ("objects", '{"a":', "}")):
            inner = "1" if name == "objects" else ""
            deep = opening * levels + inner + closing * levels
            text = answer(run_with(f'"metadata": {{"deep": {deep}}}'))
            found.append(case(f"depth: {levels} {name}", text))
    return [
        *found,
        case(
            "depth: 150 beside the end",
            answer(run_with('"status": "completed", "x": ' + "[" * 150 + "]" * 150)),
            says="completed",
        ),
    ]


def _names() -> list[Case]:
    kinds = {
        "model_fields": '{"a": 1}',
        "model_config": '{"extra": "forbid"}',
        "model_post_init": '"x"',
        "__class__": '"RunStatus"',
        "__dict__": '{"status": "completed"}',
        "__pydantic_extra__": '{"status": "completed"}',
        "is_final": "true",
        "to_json": '"x"',
        "under": '"x"',
        "summary": "null",
        "Status": '"completed"',
        "status ": '"completed"',
        "\\ud83d": '"completed"',
        "schema": '{"a": 1}',
        "schema_": '{"a": 1}',
    }
    return [
        case(f"name: {name}", answer(run_with(f'"{name}": {text}')), must=True)
        for name, text in kinds.items()
    ]


def _refusals() -> list[Case]:
    statuses = {400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 500: b"Broken"}
    bodies = {
        "half a character": b'{"error": {"message": "\\ud83d", "code": "\\ud83d"}}',
        "terminal escapes": b'{"error": {"message": "\\u001b[2J\\nfine\\r\\n", "code": "a\\nb"}}',
        "3 MB": b'{"error": {"message": "' + b"x" * 3_000_000 + b'"}}',
        "arrays": b'{"error": [[["completed"]]], "detail": [{"loc": [1e400], "msg": [1]}]}',
        "numbers": b'{"error": {"message": 1e400, "code": 18446744073709551616, "type": null}}',
        "depth": b'{"error": {"message": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
        "text with escapes": b"\x1b[2J\nodd\r\x00\x85\xe2\x80\xa8end",
        "a run": run_body(status="completed"),
        "the key": b'{"error": {"message": "the key sk-x is odd"}}',
    }
    return [
        case(
            f"refusal {code}: {name}",
            answer(body, status=b"HTTP/1.1 %d %s" % (code, reason)),
            says=None,
        )
        for code, reason in statuses.items()
        for name, body in bodies.items()
    ]


CASES = [
    *_encoded(),
    *_texts(),
    *_statuses(),
    *_ids(),
    *_values(),
    *_depths(),
    *_names(),
    *_refusals(),
]
