"""The part of Airflow's REST API that tests need, with the waiting that goes with it."""

from __future__ import annotations

import re
import time
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

Json: TypeAlias = dict[str, Any]
Params: TypeAlias = "Mapping[str, str | int]"
TaskKey: TypeAlias = tuple[str, str, str, int]  # DAG, run, task, map index

FINAL_DAG_RUN_STATES = frozenset({"success", "failed"})
# Short, since a state that is passed through between two polls is not seen.
POLL_INTERVAL = 0.3  # seconds
# With SQLite the server answers 500 while another writer holds the database.
ATTEMPTS_ON_SERVER_ERROR = 6


class AirflowApiError(RuntimeError):
    """Airflow's API answered with an error.

    :param response: the answer; its text becomes part of the message.
    """

    def __init__(self, response: httpx.Response) -> None:
        request = response.request
        super().__init__(
            f"{request.method} {request.url.path}: {response.status_code} {response.text[:2000]}"
        )
        self.status_code = response.status_code


class AirflowRest:
    """A client of Airflow's public API, logged in as the administrator that everyone is.

    Every look at task instances is remembered, see :meth:`states_seen`.

    :param base_url: where the API server answers, without a path.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._seen: defaultdict[TaskKey, list[str]] = defaultdict(list)
        self._token: str | None = None
        # No proxy from the environment: the server is on the loopback interface.
        self._http = httpx.Client(base_url=base_url, timeout=30.0, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(
        self, method: str, path: str, body: Json | None = None, *, params: Params | None = None
    ) -> Any:
        """Call ``/api/v2`` + ``path`` and return the JSON of the answer, ``None`` if empty.

        A 5xx is tried again for about 3 s, so use this only for what may be repeated.

        :param body: what becomes the JSON body.
        :raises AirflowApiError: any other status than 2xx.
        """
        for attempt in range(1, ATTEMPTS_ON_SERVER_ERROR + 1):
            response = self._http.request(
                method,
                f"/api/v2{path}",
                params=params,
                json=body,
                headers={"Authorization": f"Bearer {self._login()}"},
            )
            if not response.is_server_error or attempt == ATTEMPTS_ON_SERVER_ERROR:
                break
            time.sleep(0.2 * attempt)
        if not response.is_success:
            raise AirflowApiError(response)
        return response.json() if response.content else None

    def check(self) -> None:
        """Raise if waiting on is pointless; for subclasses that run the servers."""

    def wait_until(
        self, check: Callable[[], bool], *, timeout: float, waiting_for: Callable[[], str]
    ) -> None:
        """Poll ``check`` until it is true.

        :param timeout: seconds.
        :param waiting_for: says what did not come, for the error.
        :raises TimeoutError: it did not become true in time.
        """
        deadline = time.monotonic() + timeout
        while not check():
            self.check()
            if time.monotonic() > deadline:
                msg = f"waited {timeout:.0f} s for {waiting_for()}"
                raise TimeoutError(msg)
            time.sleep(POLL_INTERVAL)

    # -- the server and its DAGs

    def health(self) -> dict[str, str | None]:
        """Return the status of each component, ``"healthy"`` if all is well."""
        return {name: part["status"] for name, part in self.call("GET", "/monitor/health").items()}

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each DAG file that could not be imported."""
        errors = self.call("GET", "/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def wait_for_dag(self, dag_id: str, *, timeout: float = 60.0) -> None:
        """Wait until the DAG processor has stored a DAG.

        :raises TimeoutError: it is not there in time; the message holds all import errors.
        """
        self.wait_until(
            lambda: self._dag_exists(dag_id),
            timeout=timeout,
            waiting_for=lambda: f"DAG {dag_id}; import errors: {self.import_errors()}",
        )

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Wait for a DAG, unpause it and start a run; return the run's id."""
        self.wait_for_dag(dag_id)
        self.call(
            "PATCH", f"/dags/{dag_id}", {"is_paused": False}, params={"update_mask": "is_paused"}
        )
        run_id = f"test__{uuid.uuid4()}"  # ours, so that a repeated call cannot start two runs
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        try:
            self.call("POST", f"/dags/{dag_id}/dagRuns", body)
        except AirflowApiError as error:
            if error.status_code != httpx.codes.CONFLICT:
                raise
        return run_id

    def dag_run(self, dag_id: str, run_id: str) -> Json:
        """Return a DAG run as the API gives it."""
        run: Json = self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}")
        return run

    def wait_for_dag_run(self, dag_id: str, run_id: str, timeout: float = 120.0) -> str:
        """Wait until a DAG run has ended, remembering its tasks' states; return its state.

        :raises TimeoutError: it still runs; the message holds the tasks' states.
        """

        def ended() -> bool:
            over = self.dag_run(dag_id, run_id)["state"] in FINAL_DAG_RUN_STATES
            self.task_instances(dag_id, run_id)
            return over

        self.wait_until(
            ended,
            timeout=timeout,
            waiting_for=lambda: f"the end of {dag_id}/{run_id}: {self._states(dag_id, run_id)}",
        )
        return str(self.dag_run(dag_id, run_id)["state"])

    # -- task instances

    def task_instances(self, dag_id: str, run_id: str) -> dict[str, Json]:
        """Return a run's task instances by task id; mapped ones as ``"task_id[map_index]"``."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[Json] = self.call("GET", path, params={"limit": 100})["task_instances"]
        for instance in found:
            self._remember(instance)
        return {_label(instance): instance for instance in found}

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Collection[str],
        timeout: float = 60.0,
        map_index: int = -1,
    ) -> Json:
        """Wait until a task instance is in one of ``states``; return it.

        :raises TimeoutError: it is not; the message holds the states it was seen in.
        """
        label = _label({"task_id": task_id, "map_index": map_index})

        def arrived() -> bool:
            return self._states(dag_id, run_id).get(label) in states

        self.wait_until(
            arrived,
            timeout=timeout,
            waiting_for=lambda: (
                f"{dag_id}/{run_id}/{label} to be in {sorted(states)}, "
                f"seen: {self.states_seen(dag_id, run_id, task_id, map_index)}"
            ),
        )
        return self.task_instances(dag_id, run_id)[label]

    def states_seen(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> tuple[str, ...]:
        """Return the states that the polls saw, in order, repetitions left out.

        What lasted less than about 0.5 s may be missing; :meth:`was_deferred` misses nothing.
        """
        return tuple(self._seen[dag_id, run_id, task_id, map_index])

    def was_deferred(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> bool:
        """Tell from its log whether a try of a task was handed to the triggerer."""
        log = self.log(dag_id, run_id, task_id, try_number, map_index)
        return "Pausing task as DEFERRED" in log

    def wait_until_watched(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Wait until a deferred task's trigger runs: the triggerer takes some seconds to start it.

        :raises TimeoutError: it does not.
        """
        self.wait_for_task(dag_id, run_id, task_id, {"deferred"}, timeout=180.0)
        self.wait_until(
            lambda: bool(re.search(r"trigger .+ starting", self.log(dag_id, run_id, task_id))),
            timeout=180.0,
            waiting_for=lambda: f"the trigger of {dag_id}/{run_id}/{task_id}",
        )

    def set_task_state(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        state: Literal["success", "failed", "skipped"],
        map_index: int = -1,
    ) -> None:
        """Mark a task instance, as the buttons in the UI do."""
        path = f"{_task_path(dag_id, run_id, task_id)}{_index_path(map_index)}"
        self.call("PATCH", path, {"new_state": state})

    def clear_task(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """Clear a task instance in whatever state it is, so that it runs again."""
        target = task_id if map_index < 0 else [task_id, map_index]
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [target],
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = -1,
    ) -> Any:
        """Return an XCom's value as it is stored: whatever JSON can say.

        :raises AirflowApiError: with ``status_code`` 404 if there is none.
        """
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        return self.call("GET", path, params={"map_index": map_index})["value"]

    def log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try, the triggerer's part included, one line per entry."""
        entries = self.log_entries(dag_id, run_id, task_id, try_number, map_index)
        return "\n".join(_log_lines(entries))

    def log_entries(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> list[Any]:
        """Return the log of one try as the API gives it: texts, or objects with an ``event``."""
        path = f"{_task_path(dag_id, run_id, task_id)}/logs/{try_number}"
        params: Params = {"map_index": map_index, "full_content": "true"}
        entries: list[Any] = self.call("GET", path, params=params)["content"]
        return entries

    def extra_links(
        self, dag_id: str, run_id: str, task_id: str, map_index: int = -1
    ) -> dict[str, str | None]:
        """Return the URL behind each extra link of a task instance."""
        path = f"{_task_path(dag_id, run_id, task_id)}/links"
        links: dict[str, str | None] = self.call("GET", path, params={"map_index": map_index})[
            "extra_links"
        ]
        return links

    # -- connections

    def create_connection(self, conn_id: str, conn_type: str, **fields: str | int | None) -> Json:
        """Store a connection; ``extra`` is JSON text. Replaces one of the same name."""
        try:
            self.call("DELETE", f"/connections/{conn_id}")
        except AirflowApiError as error:
            if error.status_code != httpx.codes.NOT_FOUND:
                raise
        body = {"connection_id": conn_id, "conn_type": conn_type, **fields}
        stored: Json = self.call("POST", "/connections", body)
        return stored

    def connection(self, conn_id: str) -> Json:
        """Return a stored connection, its secrets masked as the UI has them."""
        stored: Json = self.call("GET", f"/connections/{conn_id}")
        return stored

    def test_connection(
        self, conn_id: str, conn_type: str, **fields: str | int | None
    ) -> tuple[bool, str]:
        """Do what the UI's Test button does; return whether it worked and the message shown."""
        body = {"connection_id": conn_id, "conn_type": conn_type, **fields}
        answer = self.call("POST", "/connections/test", body)
        return bool(answer["status"]), str(answer["message"])

    # -- inside

    def _login(self) -> str:
        if self._token is None:
            response = self._http.get("/auth/token")
            if not response.is_success:
                raise AirflowApiError(response)
            self._token = str(response.json()["access_token"])
        return self._token

    def _dag_exists(self, dag_id: str) -> bool:
        try:
            self.call("GET", f"/dags/{dag_id}")
        except AirflowApiError as error:
            if error.status_code != httpx.codes.NOT_FOUND:
                raise
            return False
        return True

    def _states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        instances = self.task_instances(dag_id, run_id)
        return {label: instance["state"] for label, instance in instances.items()}

    def _remember(self, instance: Json) -> None:
        key = (
            instance["dag_id"],
            instance["dag_run_id"],
            instance["task_id"],
            instance["map_index"],
        )
        state, seen = instance["state"], self._seen[key]
        if state is not None and seen[-1:] != [state]:
            seen.append(state)


def _label(instance: Mapping[str, Any]) -> str:
    index = instance["map_index"]
    return f"{instance['task_id']}{f'[{index}]' if index >= 0 else ''}"


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"


def _index_path(map_index: int) -> str:
    return f"/{map_index}" if map_index >= 0 else ""


def _log_lines(content: list[Any]) -> Iterator[str]:
    for entry in content:
        if not isinstance(entry, dict):
            yield str(entry)
            continue
        fields = dict(entry)
        head = [str(fields.pop(name, "")) for name in ("timestamp", "level", "event")]
        rest = [f"{name}={value}" for name, value in fields.items()]
        yield " ".join([*head, *rest])
