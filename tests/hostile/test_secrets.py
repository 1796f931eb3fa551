"""Servers that echo a secret of the connection wherever they can: no error and no log holds it."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import logging
import re
import time
import traceback
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias
from urllib.parse import quote

import pytest

from airflow_provider_runs.errors import RunFailed, RunsError
from airflow_provider_runs.hooks import RunsHook
from airflow_provider_runs.sensors import RunStatusSensor
from tests.echo import EchoServer, answer, run, spellings, telling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.echo import Seen

RUN, THREAD = "run_1", "thread_1"
#: A word next to the secret, which shows that the server's words are really told.
MARK = "echo-mark"
#: Characters of a secret that may be left of it, and from which length on.
PREFIX, LONG = 6, 8
#: Libraries that log what crosses the wire, as it is, if somebody makes them; SECURITY.md says so.
WIRE = {"httpx", "httpcore", "aiohttp", "asyncio"}


class Secret(NamedTuple):
    """A secret of a connection.

    :param value: the secret.
    :param field: where it is in the connection.
    """

    value: str
    field: Literal["key", "header", "proxy"] = "key"


SECRETS = {
    "plain": Secret("Gv8wLq2Zt5YxHm4"),
    "quotes": Secret(r"""Qv\n"7'Zk\\e"w\'Xy"""),
    "spaces": Secret("Qw8 zr5  Tk2 pl \"7' R"),
    "template": Secret("{{ k9 }}%s{%x(a)d%%}-Wq"),
    "patterns": Secret("a9+b/c?d=e&f#g^$.*[h](i)|{2}:@;Rt"),
    "escapes": Secret(r"\u0041K\x42\"\n\/Tt%41"),
    "markup": Secret("<Kb7>&amp;\"'</b>&#39;Zk9"),
    "long": Secret("Lq8" + "".join(f"{number:04x}" for number in range(500))),
    "one": Secret("k"),
    "two": Secret("#9"),
    "three": Secret("Zq7"),
    "five": Secret("G7~w&"),
    "header of three": Secret("Xj4", "header"),
    "header of five": Secret("t0-k9", "header"),
    "header of seven": Secret('w8"Rn+5', "header"),
    "long header": Secret(r"""Hd5\"x'%7Bz{{q}}""", "header"),
    "password of five": Secret("pR@x9", "proxy"),
    "long password": Secret(r"""pW/4"\n@:pV'q8%41""", "proxy"),
}
Place: TypeAlias = "Callable[[str], bytes]"
Connect: TypeAlias = "Callable[[Secret], None]"


def words(secret: str) -> str:
    return f"{MARK}: the key {secret} is not known here"


#: Where the server's words are told, so that the mark is in the error.
TOLD: dict[str, Place] = {
    "error.message": lambda s: answer(401, {"error": {"message": words(s)}}),
    "message": lambda s: answer(500, {"message": words(s)}),
    "detail": lambda s: answer(403, {"detail": words(s)}),
    "details": lambda s: answer(422, {"detail": [{"loc": ["header", s], "msg": words(s)}]}),
    "error": lambda s: answer(400, {"error": words(s)}),
    "error.error.message": lambda s: answer(503, {"error": {"error": {"message": words(s)}}}),
    "errors": lambda s: answer(500, {"errors": [{"title": words(s)}, {"detail": s}]}),
    "fault": lambda s: answer(
        500, {"fault": {"faultstring": words(s), "detail": {"errorcode": s}}}
    ),
    "a text in JSON": lambda s: answer(500, json.dumps(words(s)), kind="application/json"),
    "a refusal with a 404": lambda s: answer(
        404, {"error": {"message": f"{MARK}: no run '{RUN}' for key {s}"}}
    ),
    "a rate limit": lambda s: answer(
        429, {"error": {"message": words(s), "code": s}}, lines=["retry-after: 0"]
    ),
    "JSON in a message": lambda s: answer(
        500, {"error": {"message": f"{MARK} {json.dumps({'authorization': f'Bearer {s}'})}"}}
    ),
    "Python in a message": lambda s: answer(
        500, {"error": {"message": f"{MARK} { {'authorization': f'Bearer {s}'} }"}}
    ),
    "bytes in a message": lambda s: answer(500, {"error": {"message": f"{MARK} {s.encode()!r}"}}),
    "a URL in a message": lambda s: answer(
        500, {"error": {"message": f"{MARK} /v1?key={quote(s, safe='')}"}}
    ),
    "HTML in a message": lambda s: answer(
        500, {"error": {"message": f"{MARK} <b>{html.escape(s)}</b>"}}
    ),
    "code and type": lambda s: answer(
        500, {"error": {"message": f"{MARK}: no", "code": s, "type": s}}
    ),
    "plain text": lambda s: answer(500, words(s)),
    "plain text of Python": lambda s: answer(500, f"{MARK} {s!r}"),
    "plain text of a good status": lambda s: answer(200, words(s)),
}


def line(text: Callable[[str], str]) -> Place:
    """Return the place of a line in the head of an answer that refuses."""
    return lambda s: answer(500, {"error": {"message": f"{MARK}: no"}}, lines=[text(s)])


def raw(text: Callable[[str], str]) -> Place:
    """Return the place of a whole answer."""
    return lambda s: text(s).encode()


#: Where it may or may not be told; the call fails.
FAILS: dict[str, Place] = {
    "names of fields": lambda s: answer(500, {s: 1}),
    "names of fields of a good status": lambda s: answer(200, {s: {s: s}}),
    "a web page": lambda s: answer(502, f"<html><b>{html.escape(s)}</b></html>", kind="text/html"),
    "a login page": lambda s: answer(200, f"<html><b>{s}</b></html>", kind="text/html"),
    "a page that is called text": lambda s: answer(500, f"<pre>{s}</pre>"),
    "cut JSON": lambda s: answer(500, f'{{"error": {{"message": "{MARK} {s}'),
    "cut JSON of a good status": lambda s: answer(200, f'{{"id": "{s}'),
    "request id": line(lambda s: f"x-request-id: {s}"),
    "retry-after": line(lambda s: f"retry-after: {s}"),
    "x-should-retry": line(lambda s: f"x-should-retry: {s}"),
    "cookie": line(lambda s: f"set-cookie: key={s}"),
    "challenge": line(lambda s: f'www-authenticate: Bearer error="{s}"'),
    "content type": lambda s: answer(500, words(s), kind=f"text/{s}; charset={s}"),
    "location": lambda s: answer(307, lines=[f"location: http://127.0.0.1/?key={s}"]),
    "escaped location": lambda s: answer(307, lines=[f"location: /?key={quote(s, safe='')}"]),
    "location that is none": lambda s: answer(302, lines=[f"location: {s}"]),
    "reason": lambda s: answer(500, reason=f"Oops {s}"),
    "reason of a refused key": lambda s: answer(401, reason=s),
    "a line without a colon": raw(lambda s: f"HTTP/1.1 200 OK\r\nwho sent {s}\r\n\r\n"),
    "a line with an odd character": raw(lambda s: f"HTTP/1.1 200 OK\r\nx-odd: \1 {s}\r\n\r\n"),
    "a status line that is none": raw(lambda s: f"who sent {s}\r\n\r\n"),
    "a status that is none": raw(lambda s: f"HTTP/1.1 {s} OK\r\n\r\n"),
    "a chunk without a size": raw(
        lambda s: f"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsize {s}\r\n{s}\r\n"
    ),
    "a length that is none": raw(lambda s: f"HTTP/1.1 200 OK\r\ncontent-length: {s}\r\n\r\n"),
    "a coding that is none": raw(
        lambda s: f"HTTP/1.1 200 OK\r\ntransfer-encoding: {s}\r\n\r\n{s}\r\n"
    ),
    "id": run,
    "a status of another type": lambda s: answer(200, {"id": RUN, "status": {s: s}}),
    "no status": lambda s: answer(200, {"id": RUN, s: s}),
}


#: Where it is in a run, which some calls return.
SHOWN: dict[str, Place] = {
    "status": lambda s: run(RUN, s),
    "last_error.message": lambda s: run(RUN, last_error={"code": "odd", "message": words(s)}),
    "last_error": lambda s: run(RUN, last_error=words(s)),
    "last_error of an end": lambda s: run(RUN, "failed", last_error={"code": s, "message": s}),
    "thread_id": lambda s: run(RUN, thread_id=s),
    "created_at": lambda s: run(RUN, created_at=s),
    "usage": lambda s: run(RUN, usage={"total_tokens": s}),
    "incomplete_details": lambda s: run(RUN, "incomplete", incomplete_details={"reason": s}),
    "another field": lambda s: run(RUN, required_action={s: s}),
}
PLACES = {**TOLD, **FAILS, **SHOWN}


async def acall(name: str, **options: Any) -> object:
    async with RunsHook() as hook:
        return await getattr(hook, name)(RUN, THREAD, **options)


def call(name: str, **options: Any) -> object:
    with RunsHook() as hook:
        return getattr(hook, name)(RUN, THREAD, **options)


NO_TIME = {"timeout": 0.01, "poll_interval": 0.1}
CALLS: dict[str, Callable[[], object]] = {
    "get_run": lambda: call("get_run"),
    "aget_run": lambda: asyncio.run(acall("aget_run")),
    "wait_for_run": lambda: call("wait_for_run", **NO_TIME),
    "await_for_run": lambda: asyncio.run(acall("await_for_run", **NO_TIME)),
    "cancel_run": lambda: call("cancel_run"),
    "acancel_run": lambda: asyncio.run(acall("acancel_run")),
}


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Airflow 3.1 the channel to a supervisor that it imports although it needs none."""
    import airflow
    from airflow.sdk.execution_time import task_runner

    if airflow.__version__.startswith("3.1."):
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        yield server


@pytest.fixture
def connect(echo: EchoServer, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that makes the connection hold a secret."""

    def connect(secret: Secret) -> None:
        extra: dict[str, Any] = {"max_retries": 0, "timeout": 20}
        if secret.field == "header":
            extra["headers"] = {"x-odd": secret.value}
        if secret.field == "proxy":
            extra["proxy"] = f"http://odd:{quote(secret.value, safe='')}@127.0.0.1:{echo.port}"
        key = secret.value if secret.field == "key" else "sk-some-other-key"
        fields = {"conn_type": "runs_assistants", "host": f"{echo.url}/v1", "password": key}
        monkeypatch.setenv("AIRFLOW_CONN_RUNS_DEFAULT", json.dumps({**fields, "extra": extra}))

    return connect


def echoing(place: Place, secret: str) -> Callable[[Seen], bytes]:
    return lambda _: place(secret)


class Watched:
    """What a call tells: its error with all that it is chained to, what is logged, and printed."""

    def __init__(self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
        self._caplog = caplog
        self._capfd = capfd
        for name in (None, "airflow_provider_runs"):
            caplog.set_level(logging.DEBUG, logger=name)
        self.error: RunsError | None = None

    def call(self, name: str) -> Iterator[tuple[str, str]]:
        """Make a call, and yield where each text was told, and the text."""
        self._caplog.clear()
        self._capfd.readouterr()
        self.error = None
        try:
            CALLS[name]()
        except RunsError as error:
            self.error = error
        for record in self._caplog.records:
            if record.name.partition(".")[0] not in WIRE:
                yield f"{name}, log", _logged(record)
        yield f"{name}, printed", "".join(self._capfd.readouterr())
        if self.error:
            yield from _told(self.error, name)


@pytest.fixture
def watched(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Watched:
    return Watched(caplog, capfd)


def _told(error: RunsError, call: str) -> Iterator[tuple[str, str]]:
    yield f"{call}, traceback", "".join(traceback.format_exception(error))
    for each in _chain(error, set()):
        kind = type(each).__name__
        yield f"{call}, str of {kind}", str(each)
        yield f"{call}, repr of {kind}", repr(each)
        for argument in each.args:
            yield f"{call}, argument of {kind}", f"{argument} {argument!r}"
        yield f"{call}, notes of {kind}", " ".join(getattr(each, "__notes__", ()))
        if isinstance(each, RunsError):
            yield f"{call}, JSON of {kind}", json.dumps(each.to_json())


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for each in (error.__cause__, error.__context__, *inner):
        yield from _chain(each, seen)


def _logged(record: logging.LogRecord) -> str:
    told = "".join(traceback.format_exception(record.exc_info[1])) if record.exc_info else ""
    return f"{record.getMessage()} {record.args!r} {told}"


def held(secret: str, where: str, text: str) -> str | None:
    """Return a secret as a text holds it; a short one as a whole word."""
    if len(secret) >= LONG:
        return next((each for each in telling(secret, PREFIX) if each in text), None)
    if where.endswith("traceback"):
        return None  # lines of source hold any word
    for each in spellings(secret):
        if re.search(rf"(?<![A-Za-z0-9]){re.escape(each)}(?![A-Za-z0-9])", text):
            return each
    return None


def leaks(secret: str, told: Iterable[tuple[str, str]]) -> list[str]:
    """Return where a secret was told, with what is around it."""
    found = []
    for where, text in told:
        if spelled := held(secret, where, text):
            at = text.find(spelled)
            found.append(f"{where}: {spelled[:80]!r} in …{text[max(0, at - 60) : at + 60]}…")
    return found


def listed(found: list[str]) -> str:
    return "\n".join([f"{len(found)} in all, of which the first are:", *found[:8]])


SHORT = [name for name, secret in SECRETS.items() if len(secret.value) < LONG]


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_is_told_of_an_answer_holds_the_secret_that_it_echoes(
    echo: EchoServer, connect: Connect, watched: Watched, name: str, place: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    echo.plan(RUN, echoing(PLACES[place], secret.value))
    found = []
    for each in CALLS:
        before = sum(echo.served.values())
        found += leaks(secret.value, watched.call(each))
        assert sum(echo.served.values()) > before, each
        assert watched.error or place in SHOWN, each
        if place in TOLD:
            assert MARK in str(watched.error), each
    assert not found, listed(found)


@pytest.mark.parametrize(
    "fill", [" ", "xxxxxxx ", "\xe9\xe9\xe9 "], ids=["spaces", "letters", "of two bytes"]
)
@pytest.mark.parametrize("cut", [200, 400, 1000, 1600, 16 * 1024])
@pytest.mark.parametrize("name", ["plain", "quotes"])
def test_no_cut_leaves_a_part_of_the_secret(
    echo: EchoServer, connect: Connect, name: str, cut: int, fill: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    # What stands before the server's words shifts a cut.
    near = {*range(cut - 150, cut + 10, 4), *range(cut - 10, cut + 11, 2)}
    found = []
    with RunsHook() as hook:
        for before in sorted(near):
            echoed = f"{(fill * before)[:before]}{secret.value} is not known here"
            for place in (
                answer(500, echoed),
                answer(200, echoed),
                answer(500, {"error": {"message": echoed}}),
                answer(500, {"error": {"message": echoed.encode().decode("latin-1")}}),
            ):
                echo.plan(RUN, lambda _, place=place: place)  # type: ignore[misc]
                with pytest.raises(RunsError) as caught:
                    hook.get_run(RUN, THREAD)
                found += leaks(secret.value, _told(caught.value, f"{before} characters before it"))
    assert not found, listed(found)


@pytest.mark.parametrize(
    "text",
    ["Qv" + "\\" * 350, "Qv" + "\\" * 350 + "n", "x" * 32_000, "&#" * 16_000, "Bearer " * 5_000],
    ids=["backslashes", "backslashes and more", "one word", "entities", "words before a token"],
)
def test_no_text_takes_long_to_search_for_a_secret(
    echo: EchoServer, connect: Connect, text: str
) -> None:
    connect(Secret(r"Qv\\\\n \\"))
    begun = time.process_time()
    for shown in (answer(500, {"error": {"message": text}}), answer(500, text), answer(200, text)):
        echo.plan(RUN, lambda _, shown=shown: shown)  # type: ignore[misc]
        with pytest.raises(RunsError):
            call("get_run")
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("length", [150, 190, 200, 390, 400])
def test_no_cut_of_a_request_id_leaves_a_part_of_the_secret(
    echo: EchoServer, connect: Connect, watched: Watched, length: int
) -> None:
    secret = SECRETS["plain"]
    connect(secret)
    found = []
    for before in range(length - 10, length + 1):
        place = line(lambda s, before=before: f"x-request-id: {'x' * before}{s}")  # type: ignore[misc]
        echo.plan(RUN, echoing(place, secret.value))
        for each in ("get_run", "aget_run"):
            found += leaks(secret.value, watched.call(each))
            assert watched.error is not None
    assert not found, listed(found)


@pytest.mark.parametrize("name", [name for name in SHORT if SECRETS[name].value.isalnum()])
def test_a_short_secret_is_taken_out_as_a_word_and_stays_in_other_words(
    echo: EchoServer, connect: Connect, watched: Watched, name: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    other = f"a{secret.value}b"
    echoed = f"{other}, {secret.value}, '{secret.value}' and key={secret.value}"
    echo.plan(RUN, lambda _: answer(500, {"error": {"message": echoed}}))
    for each in CALLS:
        found = leaks(secret.value, watched.call(each))
        assert not found, listed(found)
        assert other in str(watched.error), each


#: What tells why a run is as it is.
REASONS: dict[str, Callable[[str], dict[str, object]]] = {
    "last_error.message": lambda s: {"last_error": {"code": "odd", "message": words(s)}},
    "last_error.code": lambda s: {"last_error": {"code": s, "message": MARK}},
    "incomplete_details": lambda s: {"incomplete_details": {"reason": words(s)}},
}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("place", REASONS)
def test_no_sensor_tells_the_secret_that_the_reason_for_an_unwanted_end_echoes(
    echo: EchoServer, connect: Connect, name: str, place: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    shown = run(RUN, "failed", **REASONS[place](secret.value))
    echo.plan(RUN, lambda _: shown)
    sensor = RunStatusSensor(task_id="wait", run_id=RUN, thread_id=THREAD)
    with pytest.raises(RunFailed, match=MARK) as caught:
        sensor.poke({})
    found = leaks(secret.value, _told(caught.value, "poke"))
    assert not found, listed(found)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("place", REASONS)
def test_no_refused_cancel_tells_the_secret_that_the_run_echoes(
    echo: EchoServer, connect: Connect, watched: Watched, name: str, place: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    shown = run(RUN, "in_progress", **REASONS[place](secret.value))
    echo.plan(RUN, lambda _: shown, methods=["GET"])
    refusal = {"error": {"message": f"{MARK}: no cancel of {RUN}", "code": "odd"}}
    echo.plan(RUN, lambda _: answer(400, refusal), methods=["POST"])
    for each in ("cancel_run", "acancel_run"):
        found = leaks(secret.value, watched.call(each))
        assert MARK in str(watched.error), each
        assert not found, listed(found)


@pytest.mark.parametrize("name", ["password of five", "long password"])
def test_the_credentials_that_a_proxy_echoes_are_not_told(
    echo: EchoServer, connect: Connect, watched: Watched, name: str
) -> None:
    secret = SECRETS[name]
    connect(secret)
    whole = base64.b64encode(f"odd:{secret.value}".encode()).decode()
    sent = []

    def refuse(seen: Seen) -> bytes:
        sent.append(seen.headers["proxy-authorization"])
        return answer(502, {"error": {"message": f"{MARK} {seen.headers['proxy-authorization']}"}})

    echo.plan(RUN, refuse)
    for each in CALLS:
        told = [text for _, text in watched.call(each)]
        assert MARK in str(watched.error), each
        assert [text for text in told if whole in text] == [], each
    assert set(sent) == {f"Basic {whole}"}


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_finds_each_of_these_texts_if_it_is_no_secret(
    echo: EchoServer, connect: Connect, watched: Watched, name: str
) -> None:
    text = SECRETS[name].value[:100]
    connect(Secret("sk-quite-another-key"))
    echo.plan(RUN, echoing(PLACES["message"], text))
    for each in CALLS:
        found = {leak.partition(":")[0] for leak in leaks(text, watched.call(each))}
        assert {f"{each}, str of {type(watched.error).__name__}"} < found
        assert {f"{each}, JSON of {type(watched.error).__name__}"} < found
        if "wait" in each:
            assert found & {f"{each}, printed", f"{each}, log"}
