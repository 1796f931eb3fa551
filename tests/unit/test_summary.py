from airflow_provider_runs.models import Run
from airflow_provider_runs.summary import SUMMARY, summary_of


def test_a_summary_holds_only_fields_of_a_run():
    assert set(SUMMARY) < set(Run.model_fields)
    assert {name for name in Run.model_fields if name.endswith("_at")} < set(SUMMARY)


def test_a_summary_has_the_same_keys_whatever_the_run_has():
    whole = Run.model_validate({"id": "r", "status": "completed", "instructions": "Be brief."})
    short = summary_of(whole.to_json())
    assert tuple(short) == SUMMARY
    assert short == {**dict.fromkeys(SUMMARY), "id": "r", "status": "completed"} | {
        "raw_status": "completed"
    }
    assert Run.model_validate(short) == whole.summary()


def test_of_other_json_nothing_else_is_kept():
    assert summary_of({}) == {}
    assert summary_of({"id": "r", "output": "words"}) == {"id": "r"}
