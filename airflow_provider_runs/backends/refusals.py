"""What a refusal says, whoever wrote it: its words, its codes, and whether it is about the run.

Servers, gateways, clouds and web frameworks all answer 404, each in a form of its own. Only words
that name the run say anything about the run. Those of a router name a path at most, which may hold
the run's id: it was echoed, and says nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

__all__ = ["Refused", "is_general", "names", "read_refusal"]

#: Where the words of an error stand, and its codes, each with the best place first.
_WORDS = (
    *("message", "detail", "msg", "error", "errors", "title", "error_description", "description"),
    *("fault", "faultstring", "reason"),
)
_CODES = ("code", "error_code", "errorCode", "errorcode", "type", "status")
#: How deep words are looked for, and how many items of a list are told.
_LEVELS, _ITEMS = 4, 3


@dataclass(frozen=True, slots=True)
class Refused:
    """What the body of a refusal says.

    :param words: the message; empty if there is none.
    :param code: the best code for people: a name rather than a number; empty if there is none.
    :param codes: all codes and types.
    """

    words: str = ""
    code: str = ""
    codes: frozenset[str] = frozenset()


def read_refusal(body: object) -> Refused:
    """Read the body of a refusal, in whichever form it is.

    :param body: the decoded body; ``None`` if it is not JSON.
    """
    codes = [str(code) for code in _codes(body) if str(code).strip()]
    named = [code for code in codes if not code.isdigit()]
    return Refused(_words(body), (named or codes or [""])[0], frozenset(codes))


def _words(body: object, levels: int = _LEVELS) -> str:
    if isinstance(body, str):
        return body.strip()
    if not levels:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (_words(item, levels - 1) for item in body[:_ITEMS])))
    if not isinstance(body, dict):
        return ""
    inner = body.get("error")
    if isinstance(inner, (dict, list)) and (said_inside := _words(inner, levels - 1)):
        return said_inside
    told = (_words(body.get(name), levels - 1) for name in _WORDS)
    said: str = next(filter(None, told), "")
    where = body.get("loc")  # of a FastAPI server's complaint about the request
    return f"{'.'.join(map(str, where))}: {said}" if said and isinstance(where, list) else said


def _codes(body: object, levels: int = _LEVELS) -> list[Any]:
    """Return the codes of a body: those of the error inside it, its own, those of its details."""
    if not levels:
        return []
    if isinstance(body, list):
        return [code for item in body[:_ITEMS] for code in _codes(item, levels - 1)]
    if not isinstance(body, dict):
        return []
    own = [body.get(name) for name in (*_CODES, "reason")]
    inner, details, errors = (
        _codes(body.get(name), levels - 1) for name in ("error", "details", "errors")
    )
    return [*inner, *(code for code in own if type(code) in {str, int}), *details, *errors]


#: The vocabulary of routers: what consists of nothing else, apart from a path, is about no run.
_VOCABULARY = (
    "a an and the this that these those your you it its if of in on at to for by with from "
    "or please try again check spelling entered manually contact us help requested request "
    "requests resource page url uri link path route routes router routing endpoint "
    "operation api apis server service host site file static handler mapping project "
    "application app deployment backend default upstream function method http https "
    "version web get post put patch delete head options verb is was were be been being are "
    "has have had does do did can could cannot can't couldn't would not no none nothing "
    "never n't found find exist exists existing matched match matches matching defined "
    "available allowed supported registered located known unknown unrecognized "
    "unrecognised invalid missing wrong such here there values value message error errors "
    "exception code status 404 405 501 sorry oops looking you're moved removed "
)
_ROUTERS_WORDS = frozenset(_VOCABULARY.split())
_TOKEN = re.compile(r"[\w'-]+")
#: What a path is part of: a token with a slash, whatever quotes and verbs are glued to it.
_PATH = re.compile(r"\S*/\S*")


def is_general(words: str) -> bool:
    """Return whether words are those of a router or framework: they are about no object of an API.

    :param words: the message of an error.
    """
    rest = _TOKEN.findall(_PATH.sub(" ", words).lower().replace("_", " "))
    return all(token.strip("'-") in _ROUTERS_WORDS or not token.strip("'-") for token in rest)


def names(words: str, ids: tuple[str | None, ...]) -> bool:
    """Return whether words name one of these ids, other than in a path that they echo.

    :param words: the message of an error.
    :param ids: the ids of a run and its thread.
    """
    text = _PATH.sub(" ", words).lower()
    return any(
        re.search(rf"(?<![\w-]){re.escape(spelling)}(?![\w-])", text)
        for each in ids
        if each
        for spelling in _spellings(each)
    )


def _spellings(own: str) -> set[str]:
    text = own.lower()
    try:
        uuid = UUID(own)
    except ValueError:
        return {text}
    return {text, str(uuid), uuid.hex}
