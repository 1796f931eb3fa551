"""What the body of an error says, in whichever form a server, gateway or framework writes it."""

from __future__ import annotations

import re

__all__ = ["codes_in", "text_in", "words_in"]

#: Where the words of an error stand, and its codes, each with the best place first.
_WORDS = (
    *("message", "detail", "msg", "error_description", "description", "error", "errors", "title"),
    *("fault", "faultstring", "reason", "Message"),
)
_CODES = ("code", "error_code", "errorCode", "errorcode", "type", "status", "reason")
#: What else may hold codes.
_INSIDE = ("error", "detail", "details", "errors", "fault")
#: An ``error`` that is a code, next to a message.
_CODE = re.compile(r"[A-Za-z]+(_[A-Za-z]+)+")
#: How deep words are looked for, and how many items of a list are told. Texts are cut later, once
#: no secret is in them; so here only far behind the place of that cut.
_LEVELS, _ITEMS, _LENGTH = 4, 3, 20_000
#: Characters of a code.
_LONGEST_CODE = 1000
#: Bytes of a plain text that is an error.
_LONGEST = 16 * 1024
#: Bits of a number that may be a code.
_BITS = 64


def words_in(body: object, levels: int = _LEVELS) -> str:
    """Return the message in the body of an error; empty if there is none.

    :param body: the decoded body.
    :param levels: how deep the message may lie.
    """
    if isinstance(body, str):
        return body[:_LENGTH].strip()
    if not levels:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (words_in(item, levels - 1) for item in body[:_ITEMS])))
    if not isinstance(body, dict):
        return ""
    inner = body.get("error")
    if isinstance(inner, (dict, list)) and (said_inside := words_in(inner, levels - 1)):
        return said_inside
    told = (words_in(body.get(name), levels - 1) for name in _WORDS)
    said: str = next(filter(None, told), "")
    where = body.get("loc")  # of a FastAPI server's complaint about the request
    if said and isinstance(where, list):
        said = f"{'.'.join(str(part)[:_LENGTH] for part in where[:_LEVELS])}: {said}"
    return said


def codes_in(body: object, levels: int = _LEVELS) -> list[str]:
    """Return the codes and types in the body of an error, the innermost error's first.

    :param body: the decoded body.
    :param levels: how deep they may lie.
    """
    if not levels:
        return []
    if isinstance(body, list):
        return [code for item in body[:_ITEMS] for code in codes_in(item, levels - 1)]
    if not isinstance(body, dict):
        return []
    first, *others = (codes_in(body.get(name), levels - 1) for name in _INSIDE)
    given = (body.get(name) for name in _CODES)
    own = [text for code in given if (text := _code(code))]
    name = body.get("error")
    if isinstance(name, str) and len(name) <= _LONGEST_CODE and _CODE.fullmatch(name):
        own.append(name)
    return [
        *first,
        *own,
        *(c for o in others for c in o),
    ]


def _code(value: object) -> str:
    """Return a code as text; empty if it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value.bit_length() < _BITS else ""
    return value.strip() if isinstance(value, str) and len(value) <= _LONGEST_CODE else ""


def text_in(content: bytes | bytearray) -> str:
    """Return the text in a body that is not JSON; empty if it is a page, cut JSON, long or no text.

    :param content: the body.
    """
    if len(content) > _LONGEST:
        return ""
    try:
        text = " ".join(content.decode().split())
    except UnicodeDecodeError:
        return ""
    is_text = text.isprintable() and not text.startswith(("<", "{", "[", '"'))
    return text if is_text else ""
