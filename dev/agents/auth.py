"""Custom authentication for the agent server: two users, and nobody sees the other's threads.

The keys are no secrets: the server listens on 127.0.0.1 for as long as a test takes. They stand in
dev/agent_server.py as well, which cannot import this module: it has no langgraph_sdk.
"""

from __future__ import annotations

from typing import Any

from langgraph_sdk import Auth

USERS = {"key-of-ada": "ada", "key-of-bob": "bob"}

auth = Auth()


@auth.authenticate
async def authenticate(headers: dict[bytes, bytes]) -> Auth.types.MinimalUserDict:
    """Accept a key as ``x-api-key`` or as a bearer token."""
    key = headers.get(b"x-api-key", b"").decode()
    scheme, _, token = headers.get(b"authorization", b"").decode().partition(" ")
    user = USERS.get(key or (token if scheme.lower() == "bearer" else ""))
    if user is None:
        raise Auth.exceptions.HTTPException(status_code=401, detail="Unknown API key")
    return {"identity": user}


@auth.on.threads
async def own_threads_only(ctx: Auth.types.AuthContext, value: Any) -> Auth.types.FilterType:
    """Mark what is made with its owner, and show only what bears the mark."""
    owner = {"owner": ctx.user.identity}
    value.setdefault("metadata", {}).update(owner)
    return owner
