"""What Airflow asks of a provider. Made by `make provider-info`: do not edit."""

PROVIDER_INFO = {
    "package-name": "airflow-provider-runs",
    "name": "Runs",
    "description": "Cancels long LLM runs and waits until they have really ended.",
    "integrations": [
        {
            "integration-name": "Runs",
            "external-doc-url": "https://platform.openai.com/docs/api-reference/runs",
            "tags": ["service"],
        }
    ],
    "hooks": [{"integration-name": "Runs", "python-modules": ["airflow_provider_runs.hooks"]}],
    "operators": [
        {"integration-name": "Runs", "python-modules": ["airflow_provider_runs.operators"]}
    ],
    "sensors": [{"integration-name": "Runs", "python-modules": ["airflow_provider_runs.sensors"]}],
    "triggers": [
        {"integration-name": "Runs", "python-modules": ["airflow_provider_runs.triggers"]}
    ],
    "notifications": ["airflow_provider_runs.notifications.CancelRunNotifier"],
    "connection-types": [
        {
            "connection-type": "runs_assistants",
            "hook-class-name": "airflow_provider_runs.hooks.AssistantsRunsHook",
            "hook-name": "Runs: OpenAI Assistants and compatible",
            "conn-fields": {
                "key_header": {
                    "label": "Key is sent as",
                    "description": "bearer: 'Authorization: Bearer …'; api-key: an 'api-key' header.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "bearer",
                        "enum": ["bearer", "api-key"],
                    },
                },
                "organization": {
                    "label": "Organization",
                    "description": "Sent as 'OpenAI-Organization'.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "project": {
                    "label": "Project",
                    "description": "Sent as 'OpenAI-Project'.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "api_version": {
                    "label": "API version",
                    "description": "Sent as the query 'api-version', where a server wants one.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "beta": {
                    "label": "Beta header",
                    "description": "Value of the 'OpenAI-Beta' header.",
                    "schema": {"type": ["string", "null"], "default": "assistants=v2"},
                },
                "timeout": {
                    "label": "Timeout (seconds)",
                    "description": "How long one call may wait to connect, to send and to be answered.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 30,
                        "minimum": 0.1,
                        "maximum": 3600,
                    },
                },
                "max_retries": {
                    "label": "Maximum retries",
                    "description": "How often a call is sent again after a lost connection, 408, 409, 429 or 5xx.",
                    "schema": {
                        "type": ["integer", "null"],
                        "default": 3,
                        "minimum": 0,
                        "maximum": 100,
                    },
                },
                "verify": {
                    "label": "Verify TLS certificates",
                    "description": "Switch off only for a test server.",
                    "schema": {"type": ["boolean", "null"], "default": True},
                },
                "ca_bundle": {
                    "label": "CA bundle",
                    "description": "Path of a file or folder with the certificates to trust instead of the usual ones.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "proxy": {
                    "label": "Proxy",
                    "description": "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and its kin are obeyed.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "headers": {
                    "label": "Extra headers",
                    "description": 'Sent with every call, as JSON: {"x-team": "data"}.',
                    "schema": {"type": ["object", "null"], "default": None},
                },
                "console_url": {
                    "label": "Console link",
                    "description": "Where the service shows a run: a URL with {run_id} and, where there are threads, {thread_id}. Empty: tasks have no link.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
            },
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "extra"],
                "relabeling": {"host": "Base URL", "password": "API key"},
                "placeholders": {"host": "https://gateway.example.com/v1", "port": "443"},
            },
        }
    ],
    "extra-links": ["airflow_provider_runs.links.RunLink"],
}
