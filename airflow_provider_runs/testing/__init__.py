"""An embedded run server, for demos and for tests of DAGs that use runs.

``RunServer`` is a real HTTP server on loopback that speaks OpenAI Assistants v2 or another
dialect, such as that of LangGraph. Its runs move by themselves, as a ``RunScript`` says, and a
``Fault`` spoils a request. A ``Gateway`` answers as real servers and gateways do::

    with RunServer(script=RunScript(runs_for=math.inf)) as server:
        os.environ["AIRFLOW_CONN_RUNS_DEFAULT"] = server.connection()
        run = server.create_run()
        ...  # let a task cancel run["id"] of run["thread_id"]
        assert server.status(run["id"]) == "cancelled"
        assert server.accepted_cancels(run["id"]) == 1
        assert server.started_runs() == []  # no task has started one over HTTP

    with RunServer(gateway=Gateway(missing_for=20, loses_cancels=1)) as server: ...
    with RunServer(dialect="langgraph") as server: ...
    with RunServer(dialect=LangGraph(cancel_answer="no_content", repeat_cancel=202)) as server: ...

It needs starlette and uvicorn, which come with Airflow, and nothing else of this package.

``python -m airflow_provider_runs.testing --dialect langgraph`` serves it from a shell.
"""

from airflow_provider_runs.testing import dialects
from airflow_provider_runs.testing.dialects import *  # noqa: F403 - its __all__ names the classes
from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.faults import Fault
from airflow_provider_runs.testing.gateways import Gateway
from airflow_provider_runs.testing.request_log import RecordedRequest
from airflow_provider_runs.testing.scripts import RunScript
from airflow_provider_runs.testing.server import RunServer

__all__ = [
    "ApiError",
    "Fault",
    "Gateway",
    "RecordedRequest",
    "RunScript",
    "RunServer",
]
__all__ += dialects.__all__
__all__.sort()
