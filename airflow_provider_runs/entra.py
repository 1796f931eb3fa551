"""Entra ID tokens: fetched with ``azure-identity``, kept for the process, renewed before they end.

``azure-identity`` is the optional extra ``azure``, imported when the first token is fetched.

Source: https://learn.microsoft.com/python/api/overview/azure/identity-readme.
"""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import httpx

from airflow_provider_runs.errors import RunsConfigError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import AsyncGenerator, Generator

    from airflow_provider_runs.settings import Settings

__all__ = ["Entra", "TokenUnavailable"]

#: Seconds before its end at which a token is renewed, and seconds between two tries at that.
RENEW_BEFORE = 300.0
RENEW_PAUSE = 30.0


class TokenUnavailable(httpx.RequestError):
    """No token could be had, so the request was not sent.

    :param message: why, in the words of ``azure-identity``.
    :param refused: whether the credential itself was refused, so that trying again is no use.
    """

    def __init__(self, message: str, *, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Entra(httpx.Auth):
    """Puts a token into each request; one that the server refuses is renewed once.

    :param settings: of a connection with the fields of ``backends.foundry``.
    """

    def __init__(self, settings: Settings) -> None:
        self._source = _source_of(settings)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a request with a token, fetched if need be."""
        token = self._source.token()
        answer = yield _with(request, token)
        if answer.status_code == 401:
            yield _with(request, self._source.token(refused=token))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do what ``sync_auth_flow`` does, for asyncio."""
        token = await self._source.atoken()
        answer = yield _with(request, token)
        if answer.status_code == 401:
            yield _with(request, await self._source.atoken(refused=token))


def _with(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


class _Source:
    """The tokens of one identity, for the whole process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scope = settings.options["scope"]
        self._fetching: WeakKeyDictionary[AbstractEventLoop, asyncio.Task[None]] = (
            WeakKeyDictionary()
        )
        self._token = ""
        self._ends_at = 0.0  # epoch seconds, like the next
        self._renew_at = 0.0

    def token(self, refused: str | None = None) -> str:
        """Return a token, blocking while it is fetched.

        :param refused: one that the server has refused.
        :raises TokenUnavailable: if none can be had.
        :raises RunsConfigError: if ``azure-identity`` is missing or cannot use the settings.
        """
        # No lock: a task that is killed amid a fetch cancels its run from another thread.
        if self._is_due(refused):
            try:
                with _credential(self._settings) as credential:
                    self._keep(credential.get_token(self._scope))
            except Exception as error:  # noqa: BLE001 - azure-identity's are of many trees
                self._failed(error, refused)
        return self._token

    async def atoken(self, refused: str | None = None) -> str:
        """Do what ``token`` does, for asyncio; those who come at once wait for one fetch."""
        if self._is_due(refused):
            loop = asyncio.get_running_loop()
            task = self._fetching.get(loop)
            if task is None or task.done():
                task = self._fetching[loop] = loop.create_task(self._fetch(refused))
                task.add_done_callback(_seen)
            await asyncio.shield(task)
        return self._token

    async def _fetch(self, refused: str | None) -> None:
        try:
            # It takes half a second to import, which is too long for an event loop.
            credential = await asyncio.to_thread(_credential, self._settings, aio=True)
            async with credential:
                self._keep(await credential.get_token(self._scope))
        except Exception as error:  # noqa: BLE001 - azure-identity's are of many trees
            self._failed(error, refused)

    def _is_due(self, refused: str | None) -> bool:
        return time.time() >= self._renew_at or self._token == refused

    def _keep(self, fetched: Any) -> None:
        self._token, self._ends_at = fetched.token, float(fetched.expires_on)
        self._renew_at = max(self._ends_at - RENEW_BEFORE, time.time() + RENEW_PAUSE)

    def _failed(self, error: Exception, refused: str | None) -> None:
        if time.time() < self._ends_at and self._token != refused:
            self._renew_at = time.time() + RENEW_PAUSE  # the old one will do until then
            return
        if isinstance(error, RunsConfigError):
            raise error
        if isinstance(error, ImportError):
            raise _missing_extra(self._settings, error) from error
        if isinstance(error, ValueError):
            raise RunsConfigError(
                f"Connection {self._settings.conn_id!r} has a credential that azure-identity "
                f"cannot use: {self._settings.scrub(str(error))}",
                conn_id=self._settings.conn_id,
            ) from None
        words = f"{type(error).__name__}: {error}"
        # A credential that has worked before is hardly wrong: its service has a problem.
        raise TokenUnavailable(words, refused=_is_refusal(error) and not self._token) from error


def _seen(task: asyncio.Task[None]) -> None:
    """Take in the error of a fetch whose callers have all gone; asyncio would log it."""
    if not task.cancelled():
        task.exception()


def _is_refusal(error: Exception) -> bool:
    from azure.core.exceptions import ClientAuthenticationError

    return isinstance(error, ClientAuthenticationError)


_sources: dict[tuple[Any, ...], _Source] = {}


def _source_of(settings: Settings) -> _Source:
    options = settings.options
    identity = ("credential", "tenant_id", "client_id", "authority", "scope")
    how = (settings.key, settings.verify, settings.ca_bundle, settings.proxy)
    return _sources.setdefault((*(options[name] for name in identity), *how), _Source(settings))


def _credential(settings: Settings, *, aio: bool = False) -> Any:
    """Return a credential of ``azure-identity``, a context manager.

    :param aio: for asyncio.
    :raises ImportError: if the package is missing.
    """
    if aio:
        import_module("aiohttp")  # what it sends with, and would miss only later
    identity: Any = import_module("azure.identity.aio" if aio else "azure.identity")
    options = settings.options
    tenant, client = options["tenant_id"], options["client_id"]
    common: dict[str, Any] = {
        "connection_verify": settings.verify and (settings.ca_bundle or True),
        "connection_timeout": settings.timeout,
        "read_timeout": settings.timeout,
        "retry_total": 1,  # the call itself is tried again
    }
    if settings.proxy:
        common["proxies"] = {"http": settings.proxy, "https": settings.proxy}
    if options["authority"]:
        # Another cloud's: the public one, which is asked by default, does not know it.
        common |= {"authority": options["authority"], "disable_instance_discovery": True}
    match options["credential"]:
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
        f"Connection {settings.conn_id!r} fetches Entra ID tokens, which needs another package: "
        f"pip install 'airflow-provider-runs[azure]'. ({error})",
        conn_id=settings.conn_id,
    )
