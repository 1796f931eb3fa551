import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import Field

from airflow_provider_runs.backends import BACKENDS, AssistantsBackend, backend_for
from airflow_provider_runs.connections.fields import ConnectionOptions, WholeNumber
from airflow_provider_runs.connections.forms import form_fields
from airflow_provider_runs.hooks import hook_name

ROOT = Path(__file__).parents[2]
FORMS = [pytest.param(backend.form, id=backend.form.conn_type) for backend in BACKENDS]
KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "object": dict}
#: The standard fields of a connection, as the form calls them.
STANDARD = {"description", "host", "port", "login", "password", "schema", "extra"}

ASK = """
import json
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
hooks = [hook.model_dump(mode="json") for hook in HookMetaService.hook_meta_data()]
print("FORMS" + json.dumps([hook for hook in hooks if hook["connection_type"].startswith("runs_")]))
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> dict[str, dict]:
    """What the installed Airflow draws, once the package is installed as a provider."""
    site = tmp_path_factory.mktemp("site")
    info = site / "airflow_provider_runs-0.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: airflow-provider-runs\nVersion: 0.0.0\n"
    )
    (info / "entry_points.txt").write_text(
        "[apache_airflow_provider]\nprovider_info = airflow_provider_runs:get_provider_info\n"
    )
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
    }
    run = subprocess.run(
        [sys.executable, "-c", ASK], env=env, capture_output=True, text=True, check=False
    )
    found = re.search(r"^FORMS(.*)$", run.stdout, re.MULTILINE)
    assert found, run.stdout + run.stderr
    return {form["connection_type"]: form for form in json.loads(found[1])}


@pytest.mark.parametrize("form", FORMS)
def test_airflow_draws_the_custom_fields(drawn, form):
    shown = drawn[form.conn_type]["extra_fields"]
    assert list(shown) == list(form.fields)
    for name, spec in form.fields.items():
        (kind, _), default = spec["schema"]["type"], spec["schema"]["default"]
        assert shown[name]["value"] == default
        assert shown[name]["description"] == spec["description"]
        assert shown[name]["schema"]["title"] == spec["label"]
        assert shown[name]["schema"].get("enum") == spec["schema"].get("enum")
        # Airflow 3.1 knows neither fractions nor objects: they are typed in as text.
        kinds = {kind, "string"} if kind in {"number", "object"} else {kind}
        assert set(shown[name]["schema"]["type"]) - {"null"} <= kinds


@pytest.mark.parametrize("form", FORMS)
def test_airflow_draws_the_standard_fields(drawn, form):
    assert drawn[form.conn_type]["hook_name"] == form.label
    hook = hook_name(backend_for(form.conn_type))
    assert drawn[form.conn_type]["hook_class_name"] == f"airflow_provider_runs.hooks.{hook}"
    standard = drawn[form.conn_type]["standard_fields"]
    assert standard["host"]["title"] == "Base URL"
    assert standard["password"]["title"] == form.relabeling["password"]
    assert standard["host"]["placeholder"] == form.placeholders["host"]
    shown = {name for name, looks in standard.items() if not (looks and looks["hidden"])}
    assert shown == {"description", "host", "port", "password"}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_the_common_fields_and_names_only_standard_ones(form):
    assert form_fields(ConnectionOptions).items() <= form.fields.items()
    named = {*form.hidden_fields, *form.relabeling, *form.placeholders}
    assert named <= STANDARD
    assert {*form.relabeling, *form.placeholders}.isdisjoint(form.hidden_fields)


@pytest.mark.parametrize("form", FORMS)
def test_both_ways_of_asking_tell_the_same_looks(form):
    new = form.connection_type("hook")["ui-field-behaviour"]
    assert form.ui_field_behaviour() == {name.replace("-", "_"): new[name] for name in new}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, id=f"{backend.form.conn_type}-{name}")
        for backend in BACKENDS
        for name, spec in backend.form.fields.items()
    ],
)
def test_a_field_may_be_empty_and_its_default_keeps_its_own_rules(spec):
    schema = spec["schema"]
    kind, null = schema["type"]
    default = schema["default"]
    assert null == "null"
    assert spec["label"]
    assert spec["description"].endswith(".")
    assert default is None or isinstance(default, KINDS[kind])
    assert default in schema.get("enum", [default])
    if kind in {"number", "integer"}:
        assert default >= schema.get("minimum", default)
        assert default > schema.get("exclusiveMinimum", default - 1)


def test_a_field_is_a_json_schema_with_label_and_help():
    class Options(ConnectionOptions):
        many: WholeNumber = Field(default=1, ge=0, title="L", description="D.")

    assert list(form_fields(Options)) == ["many", *ConnectionOptions.model_fields]
    assert form_fields(Options)["many"] == {
        "label": "L",
        "description": "D.",
        "schema": {"type": ["integer", "null"], "default": 1, "minimum": 0},
    }


def test_airflow_31_gets_a_wtforms_field_for_each_of_ours():
    pytest.importorskip("wtforms")
    fields = AssistantsBackend.form.widgets()
    assert set(fields) == set(AssistantsBackend.form.fields)
    kinds = {name: field.field_class.__name__ for name, field in fields.items()}
    assert kinds["verify"] == "BooleanField"
    assert kinds["max_retries"] == "IntegerField"
    assert kinds["timeout"] == kinds["headers"] == "StringField"
    assert fields["beta"].kwargs["default"] == "assistants=v2"
    assert fields["key_header"].kwargs["validators"]
