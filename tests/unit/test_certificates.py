import ssl
from types import SimpleNamespace

import pytest

from airflow_provider_runs.backends import AssistantsBackend
from airflow_provider_runs.connections.settings import Settings
from airflow_provider_runs.errors import RunsConfigError
from airflow_provider_runs.transport.certificates import ssl_context


def read(extra=None, host="h.example") -> Settings:
    fields = {"conn_id": "c", "host": host, "port": None, "schema": None, "password": "sk-x"}
    return Settings.from_connection(SimpleNamespace(**fields), extra or {}, AssistantsBackend.form)


def test_tls_is_checked_unless_it_is_switched_off_or_not_spoken(tmp_path):
    checked = ssl_context(read())
    assert (checked.verify_mode, checked.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert checked.cert_store_stats()["x509_ca"] > 0
    unchecked = ssl_context(read({"verify": False}))
    assert (unchecked.verify_mode, unchecked.check_hostname) == (ssl.CERT_NONE, False)
    plain = ssl_context(read(host="http://h.example"))
    assert (plain.verify_mode, plain.cert_store_stats()["x509"]) == (ssl.CERT_REQUIRED, 0)
    one = checked.get_ca_certs(binary_form=True)[0]
    bundle = tmp_path / "ca.pem"
    bundle.write_text(ssl.DER_cert_to_PEM_cert(one))
    assert ssl_context(read({"ca_bundle": str(bundle)})).get_ca_certs(binary_form=True) == [one]


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_ca_bundle_that_cannot_be_read_is_named(tmp_path, text):
    bundle = tmp_path / "ca.pem"
    if text is not None:
        bundle.write_text(text)
    settings = read().with_options(ca_bundle=str(bundle))
    with pytest.raises(RunsConfigError, match=r"CA bundle.*ca\.pem"):
        ssl_context(settings)
