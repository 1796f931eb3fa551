"""What a run is: ``Run`` with its parts, ``RunStatus`` and ``RunRef``.

The fields are those of the Run object of the Assistants API, v2; the statuses of all other
backends are mapped onto its nine. Real servers send nulls, extra fields, statuses of their own
and sometimes a value of another type than documented. No run may be lost because of that, so only
``id`` and ``status`` are required, and a value of an undocumented type is kept as it is.

Source: https://platform.openai.com/docs/api-reference/runs/object (as of 2025) and the ``Run``
type of the published ``openai`` SDK (``types/beta/threads/run.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from airflow_provider_runs.plain_json import JsonObject, plain_json, printable
from airflow_provider_runs.run_ref import RunRef
from airflow_provider_runs.status import RunStatus
from airflow_provider_runs.summary import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "Glimpse", "Run", "RunRef", "RunStatus", "epoch"]

#: Characters of a server's own word for a status that are kept: statuses are logged.
LONGEST = 100

T = TypeVar("T")


def _keep_invalid(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return value


def epoch(value: Any) -> Any:
    """Return epoch seconds, also from the ISO 8601 text or the fraction that some servers send.

    :param value: a time as a server gives it; what is none is returned as it is.
    """
    if isinstance(value, str) and "T" in value:
        try:
            moment = datetime.fromisoformat(value)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        except (ValueError, OverflowError):
            return value
    return int(value) if isinstance(value, float) and abs(value) < 1e15 else value


Lenient = Annotated[T | None, WrapValidator(_keep_invalid)]
#: An integer of 64 bits. Without bounds the text that a longer one has become would be read as one.
Int64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Epoch = Annotated[Lenient[Int64], BeforeValidator(epoch)]


class _Part(BaseModel):
    # Built when first used: a DAG file that only imports an operator never pays for it.
    # No NaN: JSON has none.
    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        defer_build=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


class FunctionCall(_Part):
    """A function that the run asks its caller to execute; ``arguments`` is the model's JSON."""

    name: Lenient[str] = None
    arguments: Lenient[str] = None


class ToolCall(_Part):
    """One tool call whose output the run waits for."""

    id: Lenient[str] = None
    type: Lenient[str] = None
    function: Lenient[FunctionCall] = None


class SubmitToolOutputs(_Part):
    """The tool calls whose outputs the run waits for."""

    tool_calls: Lenient[list[ToolCall]] = None


class RequiredAction(_Part):
    """What a run in ``requires_action`` waits for."""

    type: Lenient[str] = None
    submit_tool_outputs: Lenient[SubmitToolOutputs] = None


class LastError(_Part):
    """Why a run failed; ``code`` is for example ``server_error`` or ``rate_limit_exceeded``."""

    code: Lenient[str] = None
    message: Lenient[str] = None


class IncompleteDetails(_Part):
    """Why a run is incomplete: ``max_completion_tokens`` or ``max_prompt_tokens``."""

    reason: Lenient[str] = None


class Usage(_Part):
    """The tokens that the run used; ``Run.usage`` is ``None`` until the run is final."""

    completion_tokens: Lenient[Int64] = None
    prompt_tokens: Lenient[Int64] = None
    total_tokens: Lenient[Int64] = None


class TruncationStrategy(_Part):
    """How the thread is shortened: ``auto``, or only the last ``last_messages`` messages."""

    type: Lenient[str] = None
    last_messages: Lenient[Int64] = None


class FunctionName(_Part):
    """The function that the model must call."""

    name: Lenient[str] = None


class ToolChoice(_Part):
    """The tool that the model must call."""

    type: Lenient[str] = None
    function: Lenient[FunctionName] = None


class JSONSchemaFormat(_Part):
    """The schema that the answer must follow."""

    name: Lenient[str] = None
    description: Lenient[str] = None
    schema_: Lenient[JsonObject] = Field(default=None, alias="schema")
    strict: Lenient[bool] = None


class ResponseFormat(_Part):
    """The form of the answer: ``text``, ``json_object`` or ``json_schema``."""

    type: Lenient[str] = None
    json_schema: Lenient[JSONSchemaFormat] = None


class FunctionDefinition(_Part):
    """A function that the model may call; ``parameters`` is its JSON schema."""

    name: Lenient[str] = None
    description: Lenient[str] = None
    parameters: Lenient[JsonObject] = None
    strict: Lenient[bool] = None


class Tool(_Part):
    """A tool that the run may use: ``code_interpreter``, ``file_search`` or ``function``."""

    type: Lenient[str] = None
    function: Lenient[FunctionDefinition] = None
    file_search: Lenient[JsonObject] = None


def _status(value: Any) -> Any:
    return RunStatus.of(printable(value, LONGEST)) if isinstance(value, str) else value


class Run(_Part):
    """A run as a server describes it: the 27 documented fields and ``raw_status``.

    Times are in epoch seconds. Fields that a server adds are kept in ``model_extra``.
    """

    id: str
    status: Annotated[RunStatus, BeforeValidator(_status)]
    #: The status as the server spells it.
    raw_status: str
    object: Lenient[str] = None
    created_at: Epoch = None
    thread_id: Lenient[str] = None
    assistant_id: Lenient[str] = None
    required_action: Lenient[RequiredAction] = None
    last_error: Lenient[LastError] = None
    expires_at: Epoch = None
    started_at: Epoch = None
    cancelled_at: Epoch = None
    failed_at: Epoch = None
    completed_at: Epoch = None
    incomplete_details: Lenient[IncompleteDetails] = None
    model: Lenient[str] = None
    instructions: Lenient[str] = None
    tools: Lenient[list[Tool]] = None
    metadata: Lenient[JsonObject] = None
    usage: Lenient[Usage] = None
    temperature: Lenient[float] = None
    top_p: Lenient[float] = None
    max_prompt_tokens: Lenient[Int64] = None
    max_completion_tokens: Lenient[Int64] = None
    truncation_strategy: Lenient[TruncationStrategy] = None
    tool_choice: Lenient[str | ToolChoice] = None
    parallel_tool_calls: Lenient[bool] = None
    response_format: Lenient[str | ResponseFormat] = None

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = plain_json(data)
        word = data.get("raw_status")
        word = word if isinstance(word, str) else data.get("status")
        return {**data, "raw_status": printable(word, LONGEST) if isinstance(word, str) else word}

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.status.is_final

    def under(self, run_id: str) -> Run:
        """Return the run under the id that was asked for; servers spell ids in several ways."""
        return self if self.id == run_id else self.model_copy(update={"id": run_id})

    def summary(self) -> Run:
        """Return the run with only the fields that may be logged: see ``summary.SUMMARY``."""
        return Run.model_construct(**{name: getattr(self, name) for name in SUMMARY})

    def to_json(self) -> JsonObject:
        """Return the whole run as plain JSON; ``Run.model_validate`` reads it."""
        return self.model_dump(mode="json", by_alias=True, warnings=False)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A run as one poll of many sees it: only its status has been read.

    :param id: the run's id.
    :param status: its status.
    :param raw_status: its status as the server spells it.
    :param read: reads the whole run from the answer, once.
    :param poll_after: seconds that the server asks to wait before the next poll; 0 if it does not.
    """

    id: str
    status: RunStatus
    raw_status: str
    read: Callable[[], Run]
    poll_after: float = 0.0

    @property
    def is_final(self) -> bool:
        """Whether the run has ended."""
        return self.status.is_final

    def with_run(self) -> Glimpse:
        """Return the same, once the whole run has been read.

        :raises ValueError: if it cannot be read.
        """
        self.read()
        return self

    def under(self, run_id: str) -> Glimpse:
        """Return the run under the id that was asked for; servers spell ids in several ways."""
        if self.id == run_id:
            return self
        return replace(self, id=run_id, read=lambda: self.read().under(run_id))
