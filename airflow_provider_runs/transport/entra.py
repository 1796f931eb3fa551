"""Entra ID tokens: fetched with ``azure-identity``, cached in the process, renewed before expiry.

``azure-identity`` is the optional extra ``azure``, imported when the first token is fetched.

Source: https://learn.microsoft.com/python/api/overview/azure/identity-readme.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from importlib import import_module
from secrets import token_bytes
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import httpx

from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.flows.failures import TokenUnavailable
from airflow_provider_runs.transport.certificates import ssl_context
from airflow_provider_runs.transport.in_time import in_time

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, AsyncIterator, Generator

    from airflow_provider_runs.backends.credentials import EntraID
    from airflow_provider_runs.connections.settings import Settings

__all__ = ["auth_of"]

#: Seconds before its expiry at which a token is renewed, and seconds between two attempts.
RENEW_BEFORE = 300.0
RENEW_PAUSE = 30.0
#: Identities whose tokens are cached at most; the least recently used one is dropped first.
SOURCES = 64


class _Entra(httpx.Auth):
    """Puts a token into each request, and renews it once if the server refuses it.

    :param wanted: the identity whose tokens are used.
    :param until: when a token must have been fetched, in epoch seconds; ``None`` for any time. It
        bounds the blocking way only: asyncio's is bounded from outside.
    """

    def __init__(self, wanted: EntraID, until: float | None) -> None:
        self._wanted = wanted
        self._until = until
        self._source = _sources.of(wanted)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with a token, which is fetched if necessary."""
        token = self._source.token(self._wanted, until=self._until)
        answer = yield _with_token(request, token)
        if answer.status_code == 401:
            again = self._source.token(self._wanted, refused=token, until=self._until)
            yield _with_token(request, again)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do what ``sync_auth_flow`` does, for asyncio."""
        token = await self._source.atoken(self._wanted)
        answer = yield _with_token(request, token)
        if answer.status_code == 401:
            yield _with_token(request, await self._source.atoken(self._wanted, refused=token))


def _with_token(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


class _Service:
    """What one credential saw of the token service, since its exceptions do not tell.

    The blocking credentials raise the same for a wrong secret and for a service that is down. The
    default credential raises the same for everything.

    :param credential: the kind of credential, as the connection names it.
    :param refuses: whether it refuses the credential, as far as is known; also if the credential
        finds nothing to identify itself with.
    """

    def __init__(self, credential: str, *, refuses: bool = True) -> None:
        self._credential = credential
        self.asked = False
        self.refuses = refuses

    def sent(self, request: Any) -> None:
        """Note that a request is sent."""
        if self._credential == "default" and "/metadata/identity/" in request.http_request.url:
            return  # it only probes whether this machine is in Azure
        self.asked, self.refuses = True, False

    def answered(self, response: Any) -> None:
        """Note how the service answers."""
        status = response.http_response.status_code
        self.refuses = 400 <= status < 500 and status not in {408, 410, 429}


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failed fetch of a token."""

    error: Exception
    service: _Service


class _Source:
    """The tokens of one identity, for the whole process."""

    def __init__(self) -> None:
        self._fetching: WeakKeyDictionary[AbstractEventLoop, asyncio.Task[_Failure | None]] = (
            WeakKeyDictionary()
        )
        self._token = ""
        self._ends_at = 0.0  # epoch seconds, like the next
        self._renew_at = 0.0

    def token(self, wanted: EntraID, refused: str | None = None, until: float | None = None) -> str:
        """Return a token, blocking while it is fetched.

        :param wanted: this identity.
        :param refused: a token that the server has refused.
        :param until: when it must have been fetched, in epoch seconds; ``None`` for any time.
        :raises TokenUnavailable: if fetching one fails.
        :raises RunsConfigError: if ``azure-identity`` is missing or cannot use the settings.
        """
        # No lock: a task that is killed during a fetch cancels its run from another thread.
        if self._is_due(refused):
            left = None if until is None else max(0.0, until - time.time())
            try:
                # The libraries bound each read of an answer, not their sum.
                failure = in_time(lambda: self._fetch(wanted), left)
            except TimeoutError as error:
                failure = _Failure(error, _Service(wanted.kind, refuses=False))
            self._judge(failure, wanted.settings, refused)
        return self._token

    async def atoken(self, wanted: EntraID, refused: str | None = None) -> str:
        """Do what ``token`` does, for asyncio; concurrent callers share one fetch."""
        if self._is_due(refused):
            loop = asyncio.get_running_loop()
            task = self._fetching.get(loop)
            if task is None or task.done():
                task = self._fetching[loop] = loop.create_task(self._afetch(wanted))
            self._judge(await asyncio.shield(task), wanted.settings, refused)
        return self._token

    def _fetch(self, wanted: EntraID) -> _Failure | None:
        service = _Service(wanted.kind)
        try:
            with _credential(wanted, service) as credential:
                self._keep(credential.get_token(wanted.scope))
        except Exception as error:  # noqa: BLE001 - azure-identity raises many unrelated ones
            return _Failure(error, service)
        return None

    async def _afetch(self, wanted: EntraID) -> _Failure | None:
        service = _Service(wanted.kind)
        try:
            async with _acredential(wanted, service) as credential:
                self._keep(await credential.get_token(wanted.scope))
        except Exception as error:  # noqa: BLE001 - azure-identity raises many unrelated ones
            return _Failure(error, service)
        return None

    def _is_due(self, refused: str | None) -> bool:
        return time.time() >= self._renew_at or self._token == refused

    def _keep(self, fetched: Any) -> None:
        self._token, self._ends_at = fetched.token, float(fetched.expires_on)
        self._renew_at = max(self._ends_at - RENEW_BEFORE, time.time() + RENEW_PAUSE)

    def _judge(self, failure: _Failure | None, settings: Settings, refused: str | None) -> None:
        """Raise the error for a fetch that failed, unless the old token is still valid."""
        if failure is None:
            return
        if time.time() < self._ends_at and self._token != refused:
            self._renew_at = time.time() + RENEW_PAUSE  # use the old one until then
            return
        # Not chained below: the service may have echoed the secret.
        error, service = failure.error, failure.service
        words = settings.shown(getattr(error, "message", "") or str(error))
        if isinstance(error, RunsConfigError):
            raise error
        if isinstance(error, ImportError):
            raise _missing_extra(settings, error) from error
        if isinstance(error, ValueError) and not service.asked:
            raise RunsConfigError(
                f"Connection {settings.conn_id!r} has a credential that azure-identity "
                f"cannot use: {words}",
                conn_id=settings.conn_id,
            )
        # A credential that has worked before is probably right: its service has a problem.
        raise TokenUnavailable(
            f"{type(error).__name__}: {words}", refused=service.refuses and not self._token
        )


class _Sources:
    """The token sources of the identities that this process used most recently.

    The keys are digests, so that no secret is kept in one.
    """

    def __init__(self) -> None:
        self._sources: OrderedDict[bytes, _Source] = OrderedDict()
        self._salt = token_bytes(32)

    def of(self, wanted: EntraID) -> _Source:
        """Return the token source of a connection's identity."""
        settings, options = wanted.settings, wanted.settings.options
        identity = [
            *(wanted.kind, wanted.tenant_id, wanted.client_id, wanted.authority, wanted.scope),
            *(settings.key, options.verify, options.ca_bundle, options.proxy),
        ]
        name = blake2b(repr(identity).encode(), key=self._salt).digest()
        source = self._sources.setdefault(name, _Source())
        with suppress(KeyError):  # another thread may have made room meanwhile
            self._sources.move_to_end(name)
        if len(self._sources) > SOURCES:
            self._sources.popitem(last=False)
        return source


_sources = _Sources()


def auth_of(credential: EntraID | None, until: float | None = None) -> httpx.Auth | None:
    """Return what puts a credential's token into requests; ``None`` without a credential.

    :param credential: the credential.
    :param until: when a token must have been fetched, in epoch seconds; ``None`` for any time.
    """
    return _Entra(credential, until) if credential else None


@asynccontextmanager
async def _acredential(wanted: EntraID, service: _Service) -> AsyncIterator[Any]:
    """Lend a credential for asyncio; see ``_credential``."""
    settings, options = wanted.settings, wanted.settings.options
    # Importing these takes half a second: too long for an event loop.
    aiohttp: Any = await asyncio.to_thread(import_module, "aiohttp")
    transports: Any = await asyncio.to_thread(import_module, "azure.core.pipeline.transport")
    verify: Any = options.verify
    if verify and options.ca_bundle:
        # Azure's own transport would read it on the event loop, and cannot read a folder.
        verify = await asyncio.to_thread(ssl_context, settings)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=verify),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=True,
    ) as session:
        transport = transports.AioHttpTransport(
            session=session, session_owner=False, **_limits(settings)
        )
        async with await asyncio.to_thread(
            _credential, wanted, service, "azure.identity.aio", transport=transport
        ) as credential:
            yield credential


def _limits(settings: Settings) -> dict[str, float]:
    return dict.fromkeys(("connection_timeout", "read_timeout"), settings.options.timeout)


def _credential(
    wanted: EntraID, service: _Service, package: str = "azure.identity", **more: Any
) -> Any:
    """Return a credential of ``azure-identity``, which is a context manager.

    :param service: is told of each request and each answer.
    :param package: the package of its class.
    :param more: further parameters of the class.
    :raises ImportError: if the package is missing.
    """
    identity: Any = import_module(package)
    settings, options = wanted.settings, wanted.settings.options
    tenant, client = wanted.tenant_id, wanted.client_id
    common: dict[str, Any] = {
        "connection_verify": options.verify and (options.ca_bundle or True),
        "retry_total": 0,  # the call that needs the token is retried instead
        "raw_request_hook": service.sent,
        "raw_response_hook": service.answered,
        **_limits(settings),
        **more,
    }
    if options.proxy:
        common["proxies"] = {"http": options.proxy, "https": options.proxy}
    if wanted.authority:
        # An authority of another cloud: by default the public cloud is asked, which does not
        # know it.
        common |= {"authority": wanted.authority, "disable_instance_discovery": True}
    match wanted.kind:
        case "client_secret":
            return identity.ClientSecretCredential(tenant, client, settings.key, **common)
        case "managed_identity":
            return identity.ManagedIdentityCredential(client_id=client, **common)
        case "workload_identity":
            ids = {"tenant_id": tenant, "client_id": client}
            given = {name: value for name, value in ids.items() if value}
            return identity.WorkloadIdentityCredential(**given, **common)
        case _:
            given = {"managed_identity_client_id": client} if client else {}
            return identity.DefaultAzureCredential(**given, **common)


def _missing_extra(settings: Settings, error: ImportError) -> RunsConfigError:
    return RunsConfigError(
        f"Connection {settings.conn_id!r} uses Entra ID tokens, which need packages that are not "
        f"installed: pip install azure-identity aiohttp (the extra 'azure'). ({error})",
        conn_id=settings.conn_id,
    )
