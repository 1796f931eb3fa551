"""Foundry's dialect: what differs from the Assistants API, and what a connection may say."""

from types import SimpleNamespace

import pytest

from airflow_provider_runs.backends import FoundryBackend, backend_for
from airflow_provider_runs.backends.credentials import EntraID
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.models import RunRef

HOST = "https://me.services.ai.azure.com/api/projects/demo"
REF = RunRef("run_1", "thread_1")
RUNS = "/threads/thread_1/runs"
IDS = {"tenant_id": "t", "client_id": "c"}
CREDENTIALS = ("default", "client_secret", "managed_identity", "workload_identity", "api_key")
#: What is enough for each credential.
GOOD = {
    "default": ({}, ""),
    "client_secret": (IDS, "s3cret"),
    "managed_identity": ({}, ""),
    "workload_identity": ({}, ""),
    "api_key": ({}, "k3y"),
}


def backend(extra=None, *, host=HOST, key="") -> FoundryBackend:
    conn = SimpleNamespace(conn_id="c", host=host, port=None, schema=None, password=key)
    return FoundryBackend(Settings.from_connection(conn, extra or {}, FoundryBackend.form))


def made_with(credential, **changes) -> FoundryBackend:
    extra, key = GOOD[credential]
    return backend({"credential": credential, **extra, **changes}, key=key)


def test_the_type_of_a_connection_leads_here():
    assert backend_for("runs_foundry") is FoundryBackend


def test_the_calls_are_those_of_the_assistants_api():
    calls = [backend().get(REF), backend().cancel(REF), backend().list_runs("thread_1", None)]
    assert [(call.method, call.path) for call in [*calls, backend().probe()]] == [
        ("GET", f"{RUNS}/run_1"),
        ("POST", f"{RUNS}/run_1/cancel"),
        ("GET", RUNS),
        ("GET", "/assistants"),
    ]
    assert calls[1].judged == {400, 404, 409}


def test_a_project_is_the_base_of_all_paths():
    assert backend().settings.base_url == HOST
    assert backend(host=f"{HOST}/").settings.base_url == HOST
    assert not backend().is_gone()


def test_azure_openais_own_host_serves_no_runs_any_more():
    """People come from there; its 404 must never look like a run that is missing."""
    assert backend(host="https://resource.openai.azure.com").is_gone()


@pytest.mark.parametrize(
    "host",
    [
        "https://me.services.ai.azure.com",
        "me.services.ai.azure.com",
        "https://ME.Services.AI.Azure.com/api",
        "https://me.services.ai.azure.com/api/projects/",
        "https://me.services.ai.azure.com/demo",
    ],
)
def test_a_resource_without_a_project_is_refused_with_what_mends_it(host):
    with pytest.raises(RunsConfigError, match=r"Foundry resource without a project") as caught:
        backend(host=host)
    assert "https://me.services.ai.azure.com/api/projects/PROJECT" in caught.value.message
    assert caught.value.conn_id == "c"


@pytest.mark.parametrize(
    "host", ["https://gateway.example", "http://127.0.0.1:8000", "https://ai.azure.com.example/x"]
)
def test_a_host_of_its_own_may_have_any_path(host):
    assert backend(host=host).settings.base_url == host


def test_an_old_connection_string_is_refused_with_what_takes_its_place():
    with pytest.raises(RunsConfigError, match=r"old Foundry connection string") as caught:
        backend(host="eastus.api.azureml.ms;0a1b-subscription;group;project")
    assert "services.ai.azure.com/api/projects/PROJECT" in caught.value.message
    assert "0a1b" not in caught.value.message


def test_a_host_must_be_given():
    with pytest.raises(RunsConfigError, match=r"^Connection 'c' .*host"):
        backend(host=None)


@pytest.mark.parametrize(
    ("extra", "version"), [({}, "v1"), ({"api_version": "2025-05-01"}, "2025-05-01")]
)
def test_every_call_has_the_api_version(extra, version):
    assert backend(extra).params() == {"api-version": version}


# -- credentials ----------------------------------------------------------------------------------


def test_the_form_offers_each_credential():
    schema = FoundryBackend.form.fields["credential"]["schema"]
    assert tuple(schema["enum"]) == CREDENTIALS
    assert schema["default"] == "default"


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_a_credential_needs_only_what_it_uses(credential):
    made = made_with(credential)
    assert made.settings.options.credential == credential
    assert isinstance(made.credential, EntraID) is (credential != "api_key")


def test_the_default_credential_is_what_an_empty_form_means():
    assert backend().settings.options.credential == "default"
    assert isinstance(backend().credential, EntraID)
    assert backend().settings.options.scope == "https://ai.azure.com/.default"


def test_an_api_key_is_a_header_and_needs_no_token():
    made = made_with("api_key")
    assert made.headers() == {"api-key": "k3y"}
    assert made.credential is None


@pytest.mark.parametrize("credential", sorted(set(CREDENTIALS) - {"api_key"}))
def test_a_client_secret_is_in_no_header_of_the_calls(credential):
    made = made_with(credential)
    assert made.headers() == {}
    assert "s3cret" not in str(made.all_headers())


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_the_header_of_openais_beta_is_not_sent(credential):
    assert not any("beta" in name.lower() for name in made_with(credential).all_headers())


@pytest.mark.parametrize(
    ("extra", "key", "words"),
    [
        ({"credential": "api_key"}, "", "Credential 'api_key' also needs password"),
        (
            {"credential": "client_secret"},
            "",
            "Credential 'client_secret' also needs password and tenant_id and client_id",
        ),
        ({"credential": "client_secret", **IDS}, "", "also needs password"),
        ({"credential": "client_secret", "client_id": "c"}, "s3cret", "also needs tenant_id"),
        ({"credential": "client_secret", "tenant_id": "t"}, "s3cret", "also needs client_id"),
        *[
            (
                extra,
                "s3cret",
                f"Credential '{kind}' does not use the password: clear it, or choose",
            )
            for kind, extra in [
                ("default", {}),
                *[
                    (kind, {"credential": kind, **IDS})
                    for kind in ("default", "managed_identity", "workload_identity")
                ],
            ]
        ],
    ],
)
def test_what_contradicts_itself_is_told_by_its_fields_and_without_the_secret(extra, key, words):
    with pytest.raises(RunsConfigError) as caught:
        backend(extra, key=key)
    assert words in caught.value.message
    assert "Nothing was sent. (Runs: Azure AI Foundry Agents, connection 'c')" in str(caught.value)
    assert caught.value.conn_id == "c"
    assert "s3cret" not in caught.value.message


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"credential": "certificate"}, "'credential' that must be one of 'default', 'client_sec"),
        ({"key_header": "bearer"}, "unknown extra fields: 'key_header'.*credential"),
        ({"tenant_id": 5}, "'tenant_id'.* text"),
        *[
            ({"authority": bad}, "'authority' that must be an https URL")
            for bad in (
                "http://login.microsoftonline.us",
                "login.microsoftonline.us",
                "https:",
                "https://",
                "https:///tenant",
                "https://[::1",
                "ftp://login.microsoftonline.us",
            )
        ],
    ],
)
def test_a_field_that_cannot_be_used_is_named(extra, words):
    with pytest.raises(RunsConfigError, match=words):
        backend(extra)


@pytest.mark.parametrize("authority", ["https://login.microsoftonline.us", "https://h:8443/", ""])
def test_an_authority_is_an_https_url_or_the_public_cloud(authority):
    assert backend({"authority": authority}).settings.options.authority in {authority, None}


def test_the_secret_is_not_shown():
    assert "s3cret" not in repr(made_with("client_secret").settings)
