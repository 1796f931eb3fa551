"""Who refuses a call: the API, or a router, gateway, cloud or framework that has no such path.

All of them answer 404, each in a form of its own. Only words that name the run say anything about
the run. Those of a router name a path at most, which may hold the run's id: it was echoed, and says
nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID

from airflow_provider_runs.backends.error_bodies import codes_in, text_in, words_in

__all__ = ["Refused", "read_refusal", "read_text"]

#: The codes of routers, without what spellings differ in: no such path, method or deployment.
_ROUTERS_CODES = frozenset(
    {
        *("deploymentnotfound", "endpointnotfound", "methodnotallowed", "nosuchroute"),
        *("pathnotfound", "projectnotfound", "routenotfound", "unknownurl"),
    }
)
#: The codes of APIs for a run, or its thread, that does not exist.
_MISSING = frozenset({"responsenotfound", "runnotfound", "tasknotfound", "threadnotfound"})


@dataclass(frozen=True, slots=True)
class Refused:
    """What the body of a refusal says.

    :param words: the message; empty if there is none.
    :param code: the best code for people: a name rather than a number; empty if there is none.
    :param codes: all codes and types, in lower case.
    :param is_plain: whether it is a plain text, which no API of runs answers but about a run.
    """

    words: str = ""
    code: str = ""
    codes: frozenset[str] = frozenset()
    is_plain: bool = False

    def names_run(self, ids: tuple[str | None, ...]) -> bool:
        """Return whether it says itself that a run, or its thread, does not exist.

        :param ids: the ids of the run and its thread, as far as the call names them.
        """
        if not any(ids):
            return False
        bare = self._bare_codes()
        return bool(bare & _MISSING) or (not bare & _ROUTERS_CODES and _names(self.words, ids))

    def is_api(self, ids: tuple[str | None, ...]) -> bool:
        """Return whether it comes from an API, not from a router or framework.

        :param ids: the ids of the run and its thread, as far as the call names them.
        """
        if self.names_run(ids):
            return True
        return not (self.is_plain or _is_general(self.words) or self._bare_codes() & _ROUTERS_CODES)

    def _bare_codes(self) -> set[str]:
        return {re.sub(r"[\W_]", "", code) for code in self.codes}


def read_refusal(body: object) -> Refused:
    """Read the body of a refusal, in whichever form it is.

    :param body: the decoded body.
    """
    codes = codes_in(body)
    # The type of a problem may be a URL (RFC 9457), or a phrase: people read neither as a code.
    named = [code for code in codes if not code.isdigit() and not set(code) & set(":/ ")]
    numbers = [code for code in codes if code.isdigit()]
    best = next(iter((*named, *numbers)), "")
    return Refused(words_in(body), best, frozenset(code.lower() for code in codes))


def read_text(content: bytes | bytearray) -> Refused:
    """Read a refusal that is not JSON. Nothing is read from a web page or cut JSON.

    :param content: the body.
    """
    return Refused(text_in(content), is_plain=True)


#: The vocabulary of routers: what consists of nothing else, apart from a path, is about no run.
_VOCABULARY = (
    "a an and the this that these those your you it it's its if of in on at to for by with "
    "from or please try again check see docs documentation more information details spelling "
    "typos entered manually contact us help requested request requests current resource page "
    "url uri link path full paths route routes router routing endpoint endpoints operation "
    "action api apis server service host hosts site file static handler listener controller "
    "mapping proxy project application app deployment backend default upstream function "
    "method methods http https version web get post put patch delete head options verb is was "
    "were be been being are has have had does do did can could cannot can't couldn't would "
    "not no none nothing never n't found find exist exists existing matched match matches "
    "matching given defined implemented available allowed supported registered located "
    "identify unable known unknown unrecognized unrecognised unexpected invalid missing wrong bad "
    "such here there values value message error errors exception code status 404 405 501 "
    "sorry oops looking you're moved removed "
)
_ROUTERS_WORDS = frozenset(_VOCABULARY.split())
_TOKEN = re.compile(r"[\w'-]+")
#: What stands before an id that is a mere word or number, as these stand for anything elsewhere.
_OBJECT = r"(?<![a-z])(?:ids?|run|thread|response|task)\W{1,3}"
#: What an id must not be a part of: a longer id, or the name of a host.
_BEFORE, _AFTER = r"(?<![\w-])(?<!\w[.@])", r"(?![\w-]|[.@]\w)"


def _is_general(words: str) -> bool:
    """Return whether words are those of a router or framework: they are about no object."""
    rest = _TOKEN.findall(_without_paths(words).replace("_", " "))
    return all(token.strip("'-") in _ROUTERS_WORDS or not token.strip("'-") for token in rest)


def _names(words: str, ids: tuple[str | None, ...]) -> bool:
    """Return whether words name one of these ids, other than in a path that they echo."""
    text = _without_paths(words)
    return any(
        re.search(_pattern(spelling), text) for each in ids if each for spelling in _spellings(each)
    )


def _without_paths(words: str) -> str:
    """Return words, in lower case, without what paths are a part of.

    That is each token with a slash, whatever quotes and verbs are glued to it.
    """
    tokens = words.lower().split()
    return " ".join(token for token in tokens if "/" not in token and "%2f" not in token)


def _pattern(spelling: str) -> str:
    is_common = spelling.isalpha() or spelling.isdigit()
    return f"{_OBJECT if is_common else _BEFORE}{re.escape(spelling)}{_AFTER}"


def _spellings(own: str) -> set[str]:
    text = own.lower()
    try:
        uuid = UUID(own)
    except ValueError:
        return {text}
    return {text, str(uuid), uuid.hex}
