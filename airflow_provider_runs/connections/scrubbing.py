"""Taking secrets out of texts from outside.

A server, a proxy or a library may echo them, escaped in one way or another.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html.entities import codepoint2name

__all__ = ["scrubbed"]

#: What takes a secret's place.
MASK = "***"
#: The length below which a secret may be a part of any word: then only whole words are taken out.
_SHORT = 8
#: Characters of a text that are looked at; nobody is shown as many.
_MOST = 16 * 1024
#: Tokens of identities, which are fetched and so not known, and what else stands where they do.
_TOKENS = re.compile(
    r"(?P<scheme>(?i:\b(?:bearer|basic)\s+))[\w.~+/=-]{6,}+"
    r"|(?<![\w-])eyJ[\w-]{8,}+\.[\w-]++\.[\w-]*+"
)


def scrubbed(text: str, secrets: frozenset[str]) -> str:
    """Return a text without secrets.

    :param text: the text. Of one that is far too long to be shown, only the beginning is returned.
    :param secrets: what must not be shown, in whatever way it is escaped.
    """
    longest = max(map(len, secrets), default=0)
    is_cut = len(text) > _MOST
    text = text[:_MOST]
    if secrets:
        text = _pattern(secrets).sub(MASK, text)
    text = _TOKENS.sub(lambda found: f"{found['scheme'] or ''}{MASK}", text)
    # Where it is cut, it may end with a part of a secret, each of whose characters may be escaped.
    return text[: -6 * longest] if is_cut and longest else text


@lru_cache(maxsize=64)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    # A secret may be a part of another one, so the longest come first.
    ways = [_way(secret) for secret in sorted(secrets, key=len, reverse=True)]
    return re.compile("|".join(ways), re.IGNORECASE)


def _way(secret: str) -> str:
    """Return a pattern for a secret, in which no character can be matched in two ways.

    Escaping doubles backslashes, once or several times, and texts collapse blanks: so a run of
    either is matched as one.
    """
    parts = re.findall(r"\\+| +|.", secret)
    spelled = "".join(
        _spellings(part[0], after_backslash=before == "\\")
        for before, part in zip(("", *(part[0] for part in parts)), parts, strict=False)
    )
    start = r"(?<!\\)" if secret[0] in _ESCAPED else ""
    return start + (spelled if len(secret) >= _SHORT else rf"(?<![a-z0-9]){spelled}(?![a-z0-9])")


#: The characters before which Python, JSON or a shell puts backslashes.
_ESCAPED = "\\'\"/"


@lru_cache(maxsize=512)
def _spellings(char: str, *, after_backslash: bool) -> str:
    """Return a pattern for a character, also as URLs, HTML, JSON and Python escape it."""
    if char.isalnum():
        return char
    code = ord(char)
    ways = [rf"\\u{code:04x}", rf"\\x{code:02x}", f"%{code:02x}", f"&#0*{code};", f"&#x0*{code:x};"]
    if name := codepoint2name.get(code):
        ways.append(f"&{name};")
    if char == " ":
        return rf"(?:{'|'.join(ways)}|[\s+])+"
    if char == "\\":
        return rf"(?:{'|'.join(ways)}|\\)+"
    if char == '"':
        ways.append("'")  # as it is quoted here
    backslashes = r"\\*" if char in _ESCAPED and not after_backslash else ""
    return f"(?:{'|'.join(ways)}|{backslashes}{re.escape(char)})"
