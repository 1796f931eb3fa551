"""A task starts its run exactly once, whichever of its processes dies, and at which step.

The processes are real, and so is their death (SIGKILL); see ``tests.tries``. A step is killed
before it takes effect, or after it has and before the process learns of it. For the rest of the
world, after one step is before the next: where both would take too long, only the one is tried.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_runs.tasks.errors import LostForGood
from airflow_provider_runs.testing import Fault, RunScript, RunServer
from airflow_provider_runs.testing.dialects.responses import Responses
from tests.tries import Died, Failed, Kill, Succeeded, Tries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The requests that start runs.
START = re.compile(r"/(runs|responses)$")


@dataclass(frozen=True, eq=False)
class Case:
    """A task.

    :param dialect: of its server.
    :param has_thread: whether its user gives the thread.
    :param needs_store: whether its run cannot be searched for without the store.
    :param extra: of the connection.
    """

    dialect: str
    has_thread: bool = False
    needs_store: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.dialect, *["thread"] * self.has_thread, *self.extra.values()])

    @property
    def spoken(self) -> str | Responses:
        """The dialect of its server, which takes ids of clients as its connection says."""
        return Responses(**self.extra) if self.extra else self.dialect

    @property
    def body(self) -> dict[str, Any]:
        if self.dialect == "responses":
            return {"model": "m", "input": "What is up?"}
        return {"assistant_id": "agent"}


ASSISTANTS = Case("assistants", needs_store=True)
FOUNDRY = Case("foundry", needs_store=True)
LANGGRAPH = Case("langgraph")
ON_GIVEN_THREAD = [Case(name, has_thread=True) for name in ("assistants", "foundry", "langgraph")]
RESPONSES = Case("responses", needs_store=True)
#: Responses whose ids the clients choose.
WITH_CLIENT_IDS = [
    Case("responses", extra={"client_ids": where})
    for where in ("request_id", "x-agent-response-id")
]
SEARCHABLE = [ASSISTANTS, FOUNDRY, LANGGRAPH, *ON_GIVEN_THREAD, *WITH_CLIENT_IDS]
WITHOUT_STORE = [case for case in SEARCHABLE if not case.needs_store]


class World:
    """A server, and task instances of a case, each in a DAG run of its own."""

    def __init__(self, server: RunServer, case: Case) -> None:
        self.server = server
        self.case = case
        self._count = 0

    def new_tries(self, thread_id: str | None = None, **changes: Any) -> Tries:
        self._count += 1
        if self.case.has_thread and thread_id is None:
            thread_id = self.server.create_thread()
        parameters: dict[str, Any] = {
            "body": self.case.body,
            "extra": self.case.extra,
            "output": False,
            **({"thread_id": thread_id} if thread_id else {}),
            **changes,
        }
        return Tries(self.server, f"manual__{self._count}", **parameters)

    def each_kill(
        self,
        *,
        both: bool = False,
        stride: int = 1,
        prepare: Callable[[], object] = bool,
        **task: Any,
    ) -> Iterator[tuple[Kill, Tries, Died | Succeeded | Failed]]:
        """Go through a first try once for each step, killed there.

        :param both: kill before and after each step, not only before.
        :param stride: kill at every so many steps only.
        :param prepare: is called before each first try.
        """
        with self.new_tries(**task) as undisturbed:
            prepare()
            assert isinstance(undisturbed.attempt(), Succeeded)
        steps = len(undisturbed.last.steps)
        assert steps > 5
        at = range(1, steps + 1, stride)
        kills = [Kill(step, after) for step in at for after in {False, both}]
        for kill in kills:
            prepare()
            with self.new_tries(**task) as tries:
                ended = tries.attempt(kill)
                assert tries.last.deaths == 1, "no process was killed"
                yield kill, tries, ended


@pytest.fixture
def world(case: Case) -> Iterator[World]:
    # No run ends by itself, and no thread refuses a second run: nothing hides one.
    script = RunScript(queued_for=0, runs_for=float("inf"))
    with RunServer(dialect=case.spoken, script=script, thread_lock=False) as server:
        yield World(server, case)


def wrong_with(tries: Tries, ended: Died | Succeeded | Failed, runs: int = 1) -> str | None:
    """Return what is wrong; ``None`` if the result is the only run, or the last of some runs."""
    if len(tries.runs) != runs:
        return f"{len(tries.runs)} runs were started, not {runs}"
    if not isinstance(ended, Succeeded):
        return str(ended)
    result = ended.result
    if (result["id"], result["status"]) != (tries.runs[-1], "completed"):
        return f"the result is {result}"
    return None


def wrong_unless_lost(tries: Tries, ended: Died | Succeeded | Failed, runs: int) -> str | None:
    """Return what is wrong unless a retry has failed for good, without starting a run."""
    lost = isinstance(ended, Failed) and ended.is_for_good
    if not (lost and LostForGood.__name__ in ended.classes):
        return str(ended)
    if len(tries.runs) != runs:
        return f"{len(tries.runs)} runs were started, not {runs}"
    asked = [step for step in tries.last.steps if step.startswith("POST ")]
    return f"it asked for {asked}" if asked else None


def starts(tries: Tries) -> int:
    """Return how many requests of the first try have started a run."""
    return sum(
        1
        for step in tries.tries[0].effects
        if step.startswith("POST ") and START.search(_path(step))
    )


def _path(step: str) -> str:
    return step.partition("?")[0]


def shown(kill: Kill, tries: Tries, wrong: str | None) -> list[str]:
    """Return what a failed test shows of a kill; nothing if nothing is wrong."""
    step = tries.tries[0].steps[kill.step - 1]
    return [f"killed {'after' if kill.after else 'before'} {step}: {wrong}"] if wrong else []


in_both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


@pytest.mark.parametrize("case", SEARCHABLE, ids=str)
@in_both_modes
def test_a_task_killed_at_any_step_starts_one_run(world: World, *, deferrable: bool) -> None:
    both = not deferrable and world.case in {ASSISTANTS, LANGGRAPH}
    stride = 2 if deferrable and world.case.has_thread else 1
    wrong = []
    for kill, tries, ended in world.each_kill(both=both, stride=stride, deferrable=deferrable):
        if isinstance(ended, Died):
            ended = tries.attempt()  # noqa: PLW2901 - the end of the task
        wrong += shown(kill, tries, wrong_with(tries, ended))
    assert not wrong
    assert not world.server.accepted_cancels()


@pytest.mark.parametrize("case", WITHOUT_STORE, ids=str)
@in_both_modes
def test_without_a_store_it_starts_one_run_as_well(world: World, *, deferrable: bool) -> None:
    wrong, stride = [], 2 if deferrable else 1
    for kill, tries, ended in world.each_kill(
        has_store=False, stride=stride, deferrable=deferrable
    ):
        if isinstance(ended, Died):
            ended = tries.attempt()  # noqa: PLW2901 - the end of the task
        wrong += shown(kill, tries, wrong_with(tries, ended))
    assert not wrong
    assert not world.server.accepted_cancels()


@pytest.mark.parametrize("case", [RESPONSES], ids=str)
@in_both_modes
def test_where_only_the_intent_is_known_and_nothing_can_be_searched_no_retry_starts_a_run(
    world: World, *, deferrable: bool
) -> None:
    wrong, lost = [], 0
    for kill, tries, ended in world.each_kill(both=True, deferrable=deferrable):
        if isinstance(ended, Died) and tries.last.effects.count("store.set") == 1:
            lost += 1
            problem = wrong_unless_lost(tries, tries.attempt(), starts(tries))
        else:
            problem = wrong_with(tries, tries.attempt() if ended == Died() else ended)
        wrong += shown(kill, tries, problem)
    assert not wrong
    assert lost == 4  # before and after the start, and the steps on either side of it


@pytest.mark.parametrize("case", [RESPONSES], ids=str)
def test_where_only_the_intent_is_known_a_retry_starts_one_if_asked_to(world: World) -> None:
    wrong, seen = [], set()
    for kill, tries, ended in world.each_kill(both=True, on_lost_start="start_again"):
        is_lost = ended == Died() and tries.last.effects.count("store.set") == 1
        before = starts(tries)
        last = tries.attempt() if ended == Died() else ended
        wrong += shown(kill, tries, wrong_with(tries, last, before + 1 if is_lost else 1))
        seen.add((is_lost, before))
    assert not wrong
    assert seen == {(False, 0), (True, 0), (True, 1), (False, 1)}


@pytest.mark.parametrize("case", [ASSISTANTS, RESPONSES], ids=str)
def test_without_a_store_no_retry_starts_a_run_where_nothing_can_be_searched(world: World) -> None:
    wrong = []
    for kill, tries, ended in world.each_kill(has_store=False):
        assert ended == Died()
        wrong += shown(kill, tries, wrong_unless_lost(tries, tries.attempt(), starts(tries)))
    assert not wrong


# -- lost answers --------------------------------------------------------------------------------

LOST = [Fault(drop=True, after_effect=True), Fault(status=503, after_effect=True)]
in_both_ways = pytest.mark.parametrize("fault", LOST, ids=["dropped", "503"])
with_or_without_store = pytest.mark.parametrize("has_store", [True, False], ids=["store", "none"])


@pytest.mark.parametrize("case", SEARCHABLE, ids=str)
@in_both_ways
@with_or_without_store
def test_a_start_whose_answer_is_lost_has_started_one_run(
    world: World, fault: Fault, *, has_store: bool
) -> None:
    world.server.fault(fault, method="POST", path=START)
    with world.new_tries(has_store=has_store) as tries:
        ended = tries.attempt()
        assert not wrong_with(tries, ended)


@pytest.mark.parametrize("case", [RESPONSES], ids=str)
@in_both_ways
@with_or_without_store
def test_a_start_whose_answer_is_lost_fails_for_good_where_nothing_can_be_searched(
    world: World, fault: Fault, *, has_store: bool
) -> None:
    world.server.fault(fault, method="POST", path=START)
    with world.new_tries(has_store=has_store) as tries:
        ended = tries.attempt()
    assert isinstance(ended, Failed)
    assert ended.is_for_good
    assert LostForGood.__name__ in ended.classes
    assert len(tries.runs) == 1


@pytest.mark.parametrize("case", [ASSISTANTS, LANGGRAPH], ids=str)
def test_a_task_whose_answer_is_lost_and_who_dies_then_starts_one_run(world: World) -> None:
    def lose_an_answer() -> None:
        world.server.clear_faults()
        world.server.fault(LOST[0], method="POST", path=START)

    wrong = []
    for kill, tries, ended in world.each_kill(prepare=lose_an_answer):
        assert ended == Died()
        wrong += shown(kill, tries, wrong_with(tries, tries.attempt()))
    assert not wrong


# -- one kill after the other --------------------------------------------------------------------

KILLS = st.lists(st.builds(Kill, st.integers(1, 18), st.booleans()), max_size=3)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(SEARCHABLE),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
    st.lists(KILLS, min_size=2, max_size=2),
)
def test_two_map_indexes_killed_again_and_again_start_one_run_each(
    case: Case, has_store: bool, deferrable: bool, looks: int, kills: list[list[Kill]]
) -> None:
    script = RunScript(queued_for=0, runs_for=float("inf"))
    with RunServer(dialect=case.spoken, script=script, thread_lock=False) as server:
        thread_id = server.create_thread() if case.has_thread else None

        def run(map_index: int) -> str | None:
            tries = Tries(
                server,
                "manual__mapped",
                map_index=map_index,
                has_store=has_store or case.needs_store,
                looks=looks,
                deferrable=deferrable,
                body=case.body,
                extra=case.extra,
                output=False,
                **({"thread_id": thread_id} if thread_id else {}),
            )
            with tries:
                for kill in [*kills[map_index], None]:
                    ended = tries.attempt(kill)
                    if ended != Died():
                        break
                return wrong_with(tries, ended)

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(run, range(2))) == [None, None]
        assert not server.accepted_cancels()
