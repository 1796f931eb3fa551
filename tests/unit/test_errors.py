import json
import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_runs import errors
from airflow_provider_runs.errors import RunsError, located
from airflow_provider_runs.summary import summary_of
from tests.unit.backends import WHOLE

NAMES = [name for name in errors.__all__ if name != "located"]
CLASSES = [getattr(errors, name) for name in NAMES]

words = st.none() | st.text(WHOLE)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(WHOLE),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(WHOLE), inner, max_size=3),
)
fields = st.fixed_dictionaries(
    {"message": st.text(WHOLE)},
    optional={
        "conn_id": words,
        "run_id": words,
        "thread_id": words,
        "request_id": words,
        "status_code": st.none() | st.integers(100, 599),
        "run": st.none() | st.dictionaries(st.text(WHOLE), json_values),
        "transient": st.booleans(),
        "retry_after": st.none() | st.floats(0, allow_nan=False, allow_infinity=False),
    },
)
instances = st.builds(lambda kind, given: kind(**given), st.sampled_from(CLASSES), fields)


def drawn_tree() -> list[tuple[str, str | None]]:
    """The tree in the module's docstring as (class, parent)."""
    path: list[str] = []
    tree = []
    for line in errors.__doc__.splitlines():
        if found := re.match(r"((?:│   |├── |└── )*)((?:Runs?|Cancel|Start)\w+)(?:\s|$)", line):
            depth = len(found[1]) // 4
            if depth or not path:
                path[depth:] = [found[2]]
                tree.append((found[2], path[depth - 1] if depth else None))
    return tree


def same(one: RunsError, other: RunsError) -> bool:
    return (type(one), one.args, vars(one)) == (type(other), other.args, vars(other))


def test_the_tree_in_the_docstring_is_the_whole_tree():
    assert sorted(name for name, _ in drawn_tree()) == NAMES


@pytest.mark.parametrize(("name", "parent"), drawn_tree())
def test_each_class_hangs_where_the_docstring_draws_it(name, parent):
    kind = getattr(errors, name)
    assert kind.__bases__[0] is (getattr(errors, parent) if parent else Exception)


def test_all_is_sorted_and_holds_every_error():
    public = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert sorted(public) == NAMES


@given(instances)
def test_an_error_survives_json_with_the_summary_of_its_run(error):
    read = RunsError.from_json(json.loads(json.dumps(error.to_json())))
    assert same(read, error.replacing(run=error.run and summary_of(error.run)))


@given(instances, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_an_error_survives_pickling(error, protocol):
    assert same(pickle.loads(pickle.dumps(error, protocol)), error)


@given(instances)
def test_an_error_reads_as_its_message(error):
    assert str(error) == error.message


@given(instances, st.text(WHOLE))
def test_adding_says_more_and_loses_nothing(error, more):
    before = dict(vars(error))
    longer = error.adding(more)
    assert str(longer) == (f"{error.message} {more}" if more else error.message)
    assert same(longer, type(error)(**{**before, "message": str(longer)}))
    assert vars(error) == before


@given(
    st.text(WHOLE),
    st.text(WHOLE, min_size=1),
    st.sampled_from(["", "get run 'r' on thread 't (2)'"]),
)
def test_what_is_added_comes_before_the_part_that_says_on_what(said, more, what):
    where = f"({what}, connection 'c')" if what else "(connection 'c')"
    error = errors.RunTimeout(located(said, what, "c"), conn_id="c")
    assert error.message == f"{said} {where}"
    if "(2)" not in what:
        assert error.said == said
        assert error.adding(more).message == f"{said} {more} {where}"
        assert error.instead(more).message == f"{more} {where}"


@pytest.mark.parametrize("kind", ["RunsSomethingNew", "", "Exception", None, 5])
def test_an_error_of_an_unknown_type_becomes_the_base_error(kind):
    error = RunsError.from_json({"type": kind, "message": "m", "run_id": "r"})
    assert same(error, RunsError("m", run_id="r"))


@pytest.mark.parametrize(
    "data",
    [{}, {"type": "RunFailed"}, {"message": "m", "colour": "red"}, {"type": [], "message": "m"}],
)
def test_what_is_no_error_is_a_type_error(data):
    with pytest.raises(TypeError):
        RunsError.from_json(data)


def test_reading_an_error_leaves_its_data_alone():
    data = RunsError("m").to_json()
    before = dict(data)
    RunsError.from_json(data)
    assert data == before


def test_only_a_bad_configuration_is_a_value_error():
    assert [kind.__name__ for kind in CLASSES if issubclass(kind, ValueError)] == [
        "RunsConfigError"
    ]


def test_an_error_of_another_module_does_not_take_a_name_of_the_tree():
    type("RunFailed", (errors.RunTimeout,), {"__module__": "elsewhere"})
    read = RunsError.from_json({"type": "RunFailed", "message": "m"})
    assert type(read) is errors.RunFailed


def test_a_note_or_another_attribute_does_not_hinder_the_journey():
    error = errors.RunTimeout("late", run_id="run_1")
    error.add_note("seen by hand")
    error.seen_by = "hand"
    for copy in (pickle.loads(pickle.dumps(error)), RunsError.from_json(error.to_json())):
        assert (type(copy), copy.message, copy.run_id) == (errors.RunTimeout, "late", "run_1")
    assert error.adding("indeed").message == "late indeed"


class OwnTimeout(errors.RunTimeout):
    pass


def test_a_subclass_of_somebody_elses_survives_pickling():
    assert type(pickle.loads(pickle.dumps(OwnTimeout("late")))) is OwnTimeout


def test_what_the_server_said_of_a_retry_survives_copies_but_leaves_no_process():
    error = errors.RunsAPIError("No.", should_retry=False)
    error.is_routers = True
    for again in (error.adding("Really."), error.replacing(run_id="run_1")):
        assert again.should_retry is False
        assert (again.is_routers, again.unsent) == (True, False)
    assert pickle.loads(pickle.dumps(error)).should_retry is False
    # Version 0.1.0 may read it, and takes no field that it does not know.
    assert "should_retry" not in error.to_json()
