import ast
import json
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from airflow_provider_runs import get_provider_info, provider_info
from airflow_provider_runs.backends import BACKENDS
from dev.provider_info import build

#: Read anew from its file: Airflow writes into the one it is given.
INFO = ast.literal_eval(ast.parse(Path(provider_info.__file__).read_text()).body[-1].value)
MODULES = [
    path
    for kind in ("hooks", "operators", "sensors", "triggers")
    for entry in INFO[kind]
    for path in entry["python-modules"]
]
CLASSES = [
    *(entry["hook-class-name"] for entry in INFO["connection-types"]),
    *INFO["extra-links"],
]


def schema(name: str) -> dict:
    file = files("airflow") / name
    if not file.is_file():
        pytest.skip(f"this Airflow has no {name}")
    return json.loads(file.read_text())


def test_airflow_accepts_the_provider_info():
    jsonschema.validate(INFO, schema("provider_info.schema.json"))


@pytest.mark.parametrize("entry", INFO["connection-types"], ids=lambda e: e["connection-type"])
def test_a_connection_type_is_as_provider_yaml_has_it(entry):
    whole = schema("provider.yaml.schema.json")
    items = whole["properties"]["connection-types"]["items"]
    jsonschema.validate(entry, {**items, "definitions": whole.get("definitions", {})})


def test_airflow_is_given_the_provider_info():
    assert INFO.items() <= get_provider_info().items()


def test_the_provider_info_is_up_to_date():
    # As text, for the form shows the fields in this order.
    assert json.dumps(INFO) == json.dumps(build()), "run `make provider-info`"


def test_every_backend_is_a_connection_type_and_no_other():
    assert [entry["connection-type"] for entry in INFO["connection-types"]] == [
        backend.form.conn_type for backend in BACKENDS
    ]


@pytest.mark.parametrize("path", MODULES)
def test_every_module_named_imports_and_is_of_this_package(path):
    assert path.startswith("airflow_provider_runs.")
    assert import_module(path).__all__


@pytest.mark.parametrize("path", CLASSES)
def test_every_class_named_is_there_and_public(path):
    module, _, name = path.rpartition(".")
    assert isinstance(getattr(import_module(module), name), type)
    assert name in import_module(module).__all__


@pytest.mark.parametrize("entry", INFO["connection-types"], ids=lambda e: e["connection-type"])
def test_the_hook_named_is_the_hook_of_the_type(entry):
    module, _, name = entry["hook-class-name"].rpartition(".")
    hook = getattr(import_module(module), name)
    assert (hook.conn_type, hook.hook_name) == (entry["connection-type"], entry["hook-name"])


def test_every_part_belongs_to_a_declared_integration():
    declared = {entry["integration-name"] for entry in INFO["integrations"]}
    used = {
        entry["integration-name"]
        for kind in ("hooks", "operators", "sensors", "triggers")
        for entry in INFO[kind]
    }
    assert used == declared
