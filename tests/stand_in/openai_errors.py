"""The errors that both of OpenAI's protocols share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tests.stand_in.script import Status, UsageLimit

KINDS = {
    400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error",
    429: "rate_limit_exceeded",
}  # fmt: skip


def error_body(status: Status) -> Mapping[str, Any]:
    """An error as OpenAI says it."""
    kind = status.kind or KINDS.get(status.code, "server_error")
    code = "invalid_api_key" if status.code == 401 else kind
    return {"error": {"message": status.message or kind, "type": kind, "param": None, "code": code}}


def usage_limit(limit: UsageLimit) -> Status:
    """The quota is used up; with a time it is a subscription's."""
    if limit.resets_at is None:
        return Status(429, "You exceeded your current quota, please check your plan.", "insufficient_quota")
    wait = max(limit.resets_at - time.time(), 0)
    return Status(
        429, f"The usage limit has been reached. Try again in {wait:.0f}s.", "usage_limit_reached", wait
    )
