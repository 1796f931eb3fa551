"""The name under which a sensor notes which run it watches, for its trigger to compare."""

WATCHED_RUN = "watched_run"

__all__ = ["WATCHED_RUN"]
