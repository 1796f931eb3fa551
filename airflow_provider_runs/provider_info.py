"""What Airflow asks of a provider. Made by `make provider-info`: do not edit."""

PROVIDER_INFO = {
    "package-name": "airflow-provider-runs",
    "name": "Runs",
    "description": "Cancels long LLM runs and waits until they have really ended.",
    "integrations": [{"integration-name": "Runs", "tags": ["service"]}],
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
                    "description": "Sent as the query parameter 'api-version', if the server needs one.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "beta": {
                    "label": "Beta header",
                    "description": "Value of the 'OpenAI-Beta' header.",
                    "schema": {"type": ["string", "null"], "default": "assistants=v2"},
                },
                "timeout": {
                    "label": "Timeout (seconds)",
                    "description": "How long each step of a call may take: to connect, send and get an answer.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 30,
                        "minimum": 0.1,
                        "maximum": 3600,
                    },
                },
                "max_retries": {
                    "label": "Maximum retries",
                    "description": "How often a call is retried after a lost connection or a 408, 409, 429 or 5xx.",
                    "schema": {
                        "type": ["integer", "null"],
                        "default": 3,
                        "minimum": 0,
                        "maximum": 100,
                    },
                },
                "max_answer": {
                    "label": "Longest answer (MB)",
                    "description": "A longer answer is not read. Answers that hold a result may have 32 MB at least.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 4,
                        "minimum": 0.001,
                        "maximum": 1024,
                    },
                },
                "verify": {
                    "label": "Verify TLS certificates",
                    "description": "Turn off only for a test server.",
                    "schema": {"type": ["boolean", "null"], "default": True},
                },
                "ca_bundle": {
                    "label": "CA bundle",
                    "description": "Path of a file or folder with the certificates to trust instead of the default ones.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "proxy": {
                    "label": "Proxy",
                    "description": "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and the like in the environment.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "headers": {
                    "label": "Extra headers",
                    "description": 'Sent with every call, as JSON: {"x-team": "data"}.',
                    "schema": {"type": ["object", "null"], "default": None},
                },
                "final_statuses": {
                    "label": "Final statuses",
                    "description": "What the server's own words for the end of a run mean, as word=status pairs: done=completed, aborted=cancelled. Usual spellings are known without it.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "console_url": {
                    "label": "Console link",
                    "description": "The page on which the service shows a run: a URL with {run_id} and, if the API has threads, {thread_id}. Empty: tasks have no link.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
            },
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "extra"],
                "relabeling": {"host": "Base URL", "password": "API key"},
                "placeholders": {"host": "https://gateway.example.com/v1", "port": "443"},
            },
        },
        {
            "connection-type": "runs_foundry",
            "hook-class-name": "airflow_provider_runs.hooks.FoundryRunsHook",
            "hook-name": "Runs: Azure AI Foundry Agents",
            "conn-fields": {
                "credential": {
                    "label": "Credential",
                    "description": "default: whatever azure-identity finds; client_secret: tenant, client and secret; managed_identity, workload_identity: that of the machine or pod; api_key: no token.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "default",
                        "enum": [
                            "default",
                            "client_secret",
                            "managed_identity",
                            "workload_identity",
                            "api_key",
                        ],
                    },
                },
                "tenant_id": {
                    "label": "Tenant id",
                    "description": "For client_secret and workload_identity.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "client_id": {
                    "label": "Client id",
                    "description": "For client_secret; for the others if the machine has several identities.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "authority": {
                    "label": "Authority",
                    "description": "Where tokens come from in a sovereign cloud, such as https://login.microsoftonline.us.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "scope": {
                    "label": "Scope",
                    "description": "The scope of the tokens.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "https://ai.azure.com/.default",
                    },
                },
                "api_version": {
                    "label": "API version",
                    "description": "Sent as the query 'api-version'.",
                    "schema": {"type": ["string", "null"], "default": "v1"},
                },
                "timeout": {
                    "label": "Timeout (seconds)",
                    "description": "How long each step of a call may take: to connect, send and get an answer.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 30,
                        "minimum": 0.1,
                        "maximum": 3600,
                    },
                },
                "max_retries": {
                    "label": "Maximum retries",
                    "description": "How often a call is retried after a lost connection or a 408, 409, 429 or 5xx.",
                    "schema": {
                        "type": ["integer", "null"],
                        "default": 3,
                        "minimum": 0,
                        "maximum": 100,
                    },
                },
                "max_answer": {
                    "label": "Longest answer (MB)",
                    "description": "A longer answer is not read. Answers that hold a result may have 32 MB at least.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 4,
                        "minimum": 0.001,
                        "maximum": 1024,
                    },
                },
                "verify": {
                    "label": "Verify TLS certificates",
                    "description": "Turn off only for a test server.",
                    "schema": {"type": ["boolean", "null"], "default": True},
                },
                "ca_bundle": {
                    "label": "CA bundle",
                    "description": "Path of a file or folder with the certificates to trust instead of the default ones.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "proxy": {
                    "label": "Proxy",
                    "description": "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and the like in the environment.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "headers": {
                    "label": "Extra headers",
                    "description": 'Sent with every call, as JSON: {"x-team": "data"}.',
                    "schema": {"type": ["object", "null"], "default": None},
                },
                "final_statuses": {
                    "label": "Final statuses",
                    "description": "What the server's own words for the end of a run mean, as word=status pairs: done=completed, aborted=cancelled. Usual spellings are known without it.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "console_url": {
                    "label": "Console link",
                    "description": "The page on which the service shows a run: a URL with {run_id} and, if the API has threads, {thread_id}. Empty: tasks have no link.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
            },
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "extra"],
                "relabeling": {"host": "Base URL", "password": "API key or client secret"},
                "placeholders": {
                    "host": "https://RESOURCE.services.ai.azure.com/api/projects/PROJECT",
                    "port": "443",
                },
            },
        },
        {
            "connection-type": "runs_langgraph",
            "hook-class-name": "airflow_provider_runs.hooks.LangGraphRunsHook",
            "hook-name": "Runs: LangGraph Agent Server",
            "conn-fields": {
                "key_header": {
                    "label": "Key is sent as",
                    "description": "x-api-key: an 'x-api-key' header; bearer: 'Authorization: Bearer …'.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "x-api-key",
                        "enum": ["x-api-key", "bearer"],
                    },
                },
                "cancel_action": {
                    "label": "Cancel action",
                    "description": "interrupt: stop the run and keep it; rollback: also delete it and its changes to its thread.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "interrupt",
                        "enum": ["interrupt", "rollback"],
                    },
                },
                "timeout": {
                    "label": "Timeout (seconds)",
                    "description": "How long each step of a call may take: to connect, send and get an answer.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 30,
                        "minimum": 0.1,
                        "maximum": 3600,
                    },
                },
                "max_retries": {
                    "label": "Maximum retries",
                    "description": "How often a call is retried after a lost connection or a 408, 409, 429 or 5xx.",
                    "schema": {
                        "type": ["integer", "null"],
                        "default": 3,
                        "minimum": 0,
                        "maximum": 100,
                    },
                },
                "max_answer": {
                    "label": "Longest answer (MB)",
                    "description": "A longer answer is not read. Answers that hold a result may have 32 MB at least.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 4,
                        "minimum": 0.001,
                        "maximum": 1024,
                    },
                },
                "verify": {
                    "label": "Verify TLS certificates",
                    "description": "Turn off only for a test server.",
                    "schema": {"type": ["boolean", "null"], "default": True},
                },
                "ca_bundle": {
                    "label": "CA bundle",
                    "description": "Path of a file or folder with the certificates to trust instead of the default ones.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "proxy": {
                    "label": "Proxy",
                    "description": "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and the like in the environment.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "headers": {
                    "label": "Extra headers",
                    "description": 'Sent with every call, as JSON: {"x-team": "data"}.',
                    "schema": {"type": ["object", "null"], "default": None},
                },
                "final_statuses": {
                    "label": "Final statuses",
                    "description": "What the server's own words for the end of a run mean, as word=status pairs: done=completed, aborted=cancelled. Usual spellings are known without it.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "console_url": {
                    "label": "Console link",
                    "description": "The page on which the service shows a run: a URL with {run_id} and, if the API has threads, {thread_id}. Empty: tasks have no link.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
            },
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "extra"],
                "relabeling": {"host": "Base URL", "password": "API key"},
                "placeholders": {"host": "https://my-agents.us.langgraph.app", "port": "443"},
            },
        },
        {
            "connection-type": "runs_responses",
            "hook-class-name": "airflow_provider_runs.hooks.ResponsesRunsHook",
            "hook-name": "Runs: OpenAI Responses (background)",
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
                    "description": "Sent as the query parameter 'api-version', if the server needs one.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "client_ids": {
                    "label": "Ids of new runs",
                    "description": "Who chooses them. none: the server; request_id: we do, in the body (vLLM); x-agent-response-id: we do, in a header (Foundry-hosted agents). By an id of ours a run is found again whose start was not answered.",
                    "schema": {
                        "type": ["string", "null"],
                        "default": "none",
                        "enum": ["none", "request_id", "x-agent-response-id"],
                    },
                },
                "timeout": {
                    "label": "Timeout (seconds)",
                    "description": "How long each step of a call may take: to connect, send and get an answer.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 30,
                        "minimum": 0.1,
                        "maximum": 3600,
                    },
                },
                "max_retries": {
                    "label": "Maximum retries",
                    "description": "How often a call is retried after a lost connection or a 408, 409, 429 or 5xx.",
                    "schema": {
                        "type": ["integer", "null"],
                        "default": 3,
                        "minimum": 0,
                        "maximum": 100,
                    },
                },
                "max_answer": {
                    "label": "Longest answer (MB)",
                    "description": "A longer answer is not read. Answers that hold a result may have 32 MB at least.",
                    "schema": {
                        "type": ["number", "null"],
                        "default": 4,
                        "minimum": 0.001,
                        "maximum": 1024,
                    },
                },
                "verify": {
                    "label": "Verify TLS certificates",
                    "description": "Turn off only for a test server.",
                    "schema": {"type": ["boolean", "null"], "default": True},
                },
                "ca_bundle": {
                    "label": "CA bundle",
                    "description": "Path of a file or folder with the certificates to trust instead of the default ones.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "proxy": {
                    "label": "Proxy",
                    "description": "URL of an HTTP or SOCKS proxy. Empty: HTTPS_PROXY and the like in the environment.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "headers": {
                    "label": "Extra headers",
                    "description": 'Sent with every call, as JSON: {"x-team": "data"}.',
                    "schema": {"type": ["object", "null"], "default": None},
                },
                "final_statuses": {
                    "label": "Final statuses",
                    "description": "What the server's own words for the end of a run mean, as word=status pairs: done=completed, aborted=cancelled. Usual spellings are known without it.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
                "console_url": {
                    "label": "Console link",
                    "description": "The page on which the service shows a run: a URL with {run_id} and, if the API has threads, {thread_id}. Empty: tasks have no link.",
                    "schema": {"type": ["string", "null"], "default": None},
                },
            },
            "ui-field-behaviour": {
                "hidden-fields": ["schema", "login", "extra"],
                "relabeling": {"host": "Base URL", "password": "API key"},
                "placeholders": {"host": "https://api.openai.com/v1", "port": "443"},
            },
        },
    ],
    "extra-links": ["airflow_provider_runs.links.RunLink"],
}
