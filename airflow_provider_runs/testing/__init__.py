"""An embedded run server, for demos and for tests of DAGs that use runs.

:class:`RunServer` is a real HTTP server on loopback that speaks the OpenAI Assistants v2 wire.
Its runs move by themselves, as a :class:`RunScript` says, and a :class:`Fault` spoils a request::

    with RunServer(script=RunScript(runs_for=math.inf)) as server:
        os.environ["AIRFLOW_CONN_RUNS_DEFAULT"] = server.connection()
        run = server.create_run()
        ...  # let a task cancel run["id"] of run["thread_id"]
        assert server.run(run["id"])["status"] == "cancelled"
        assert server.accepted_cancels(run["id"]) == 1

It needs starlette and uvicorn, which come with Airflow, and nothing else of this package.

``python -m airflow_provider_runs.testing --port 8765`` serves it from a shell.
"""

from airflow_provider_runs.testing.errors import ApiError
from airflow_provider_runs.testing.faults import Fault
from airflow_provider_runs.testing.scripts import RunScript
from airflow_provider_runs.testing.server import RunServer
from airflow_provider_runs.testing.traffic import RecordedRequest

__all__ = ["ApiError", "Fault", "RecordedRequest", "RunScript", "RunServer"]
