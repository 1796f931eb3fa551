"""What a dialect must tell: what can be asked of it, and what it answers."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response

    from airflow_provider_runs.testing.endpoints import Endpoint, Reply, ServedRequest
    from airflow_provider_runs.testing.json_types import JsonMapping, JsonObject
    from airflow_provider_runs.testing.views import RunView

__all__ = ["Dialect", "check_choice", "key_of"]

#: What every dialect must say of itself.
_REQUIRED = ("name", "fields", "start_requests")


@dataclass(frozen=True)
class Dialect(Rules):
    """The wire of one API. The fields of its subclasses are what differs between real servers.

    To define a subclass without a name, the fields of a run and the requests that start one is a
    ``TypeError``, unless it is a base of dialects, which says so: ``abstract=True``.
    """

    #: Its name, as in its connection type.
    name: ClassVar[str]
    #: Templates of what may stand before every path.
    prefixes: ClassVar[Sequence[str]] = ("",)
    #: Template of a run's path, with ``{run_id}``.
    run_path: ClassVar[str] = "/threads/{thread_id}/runs/{run_id}"
    #: The path of the base URL that clients are given.
    base_path: ClassVar[str] = ""
    #: What the extra of a connection must have.
    extra: ClassVar[Mapping[str, object]] = {}
    #: What the creator of a run may set, with the defaults.
    fields: ClassVar[JsonMapping]
    #: Whether runs belong to threads.
    has_threads: ClassVar[bool] = True
    #: Whether an active run blocks its thread.
    thread_lock: ClassVar[bool] = False
    #: The HTTP status for a request that makes no sense.
    invalid_status: ClassVar[int] = 400
    #: The requests that start a run: paths, with capitals for what is to be filled in, and bodies.
    start_requests: ClassVar[Sequence[tuple[str, str]]]

    def __init_subclass__(cls, *, abstract: bool = False) -> None:
        super().__init_subclass__()
        missing = [name for name in _REQUIRED if not hasattr(cls, name)]
        if missing and not abstract:
            raise TypeError(f"the dialect {cls.__name__} does not say its {', '.join(missing)}")

    @abstractmethod
    def endpoints(self) -> list[Endpoint]:
        """Return all that can be requested."""

    @abstractmethod
    def check_request(self, request: ServedRequest, api_key: str | None) -> None:
        """Check that a request may reach its endpoint, whichever that is.

        :param api_key: the server's key; ``None`` if it has none.
        :raises ApiError: if it may not.
        """

    @abstractmethod
    def run_json(self, run: RunView) -> JsonObject:
        """Return a run as JSON, which may share parts with the run."""

    @abstractmethod
    def no_route(self, status: int, method: str, path: str) -> ApiError:
        """Return the error for a path, or a method of one, that is not there.

        :param status: 404 for a path, 405 for a method.
        :param method: the HTTP method.
        :param path: the path, with its prefix.
        """

    @abstractmethod
    def refusal(self, error: ApiError) -> Response:
        """Return the response to an error."""

    def cancelled(self, run: RunView) -> Reply:
        """Return the reply to a cancel that is accepted: by default the run."""
        return self.run_json(run)

    def blocked(self, thread_id: str, run_id: str) -> ApiError:
        """Return the error for a new run in a thread that a run blocks."""
        return ApiError(400, f"Thread {thread_id} already has an active run {run_id}.")

    def has_forgotten(self, run: RunView, now: float) -> bool:
        """Return whether a run is so old that the server does not know it any more."""
        return False

    def invalid(self, param: str | None, message: str, code: str | None = None) -> ApiError:
        """Return the error for a parameter that makes no sense."""
        return ApiError(self.invalid_status, message, param=param, code=code)

    def body(self, request: ServedRequest) -> JsonObject:
        """Return the body of a request.

        :raises ApiError: if it is no JSON object.
        """
        try:
            body = request.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self.invalid(None, "We could not parse the JSON body of your request.")
        return body

    def text(self, body: JsonMapping, name: str) -> str:
        """Return a string that a body must have.

        :param name: what it is called there.
        :raises ApiError: if it has none.
        """
        if name not in body:
            message = f"Missing required parameter: '{name}'."
            raise self.invalid(name, message, "missing_required_parameter")
        value = body[name]
        if not isinstance(value, str):
            message = f"Invalid type for '{name}': expected a string."
            raise self.invalid(name, message, "invalid_type")
        return value

    def metadata(self, body: JsonMapping) -> JsonObject:
        """Return the ``metadata`` of a body; an empty one without it.

        :raises ApiError: if it is no object.
        """
        metadata = body.get("metadata") or {}
        if not isinstance(metadata, dict):
            message = "Invalid type for 'metadata': expected an object."
            raise self.invalid("metadata", message, "invalid_type")
        return dict(metadata)

    def run_fields(self, given: JsonMapping) -> JsonObject:
        """Return all of a run's fields, the defaults among them.

        :param given: some of them; what is ``None`` or no field is ignored.
        :raises ApiError: if the metadata does not fit.
        """
        known = {name: given[name] for name in self.fields if given.get(name) is not None}
        return {**self.fields, **known, "metadata": self.metadata(given)}


def key_of(request: ServedRequest, header: str) -> str:
    """Return the key that a request brings along; an empty one if it brings none.

    :param header: where the key is when it is no bearer token.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return (key if scheme.lower() == "bearer" else request.headers.get(header, "")).strip()


def check_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Check that a switch has one of its values.

    :param name: what the switch is called.
    :raises ValueError: if it has another value.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
