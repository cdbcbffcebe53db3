"""What went wrong with the API, in one line for a person: what, and what to do; or until when to wait."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from datetime import UTC, datetime

import anthropic

from roles.backend import BackendError, Cost, ParkedError
from supervisor.text import one_line

KEY_NAME = "ANTHROPIC_API_KEY"
OVERLOAD_S = 60.0
SPENT_S = 3_600.0  # a month's money is spent, and nobody says when there is more
LONGEST_PARK_S = 32 * 86_400.0
_REGAIN = re.compile(r"regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?")
_RESET = re.compile(r"anthropic-ratelimit-(.+)-reset$")


def no_key() -> BackendError:
    """There is none to ask with."""
    return BackendError(
        f"{KEY_NAME} is not set in this agent's environment; set it where the lab is started, "
        "`autoresearch-tui doctor` says what is missing"
    )


def failure_of(error: anthropic.AnthropicError, now: float, cost: Cost, model: str) -> BackendError:
    """The error as this lab says it: parked where waiting helps."""
    if isinstance(error, anthropic.APIStatusError):
        return _status(error, now, cost, model)
    if isinstance(error, anthropic.APIConnectionError):
        return BackendError(
            "no connection to the Anthropic API; look at the network and at ANTHROPIC_BASE_URL", cost
        )
    return BackendError(f"the Anthropic SDK failed: {_message(error)}", cost)


def broke_midway(error: anthropic.APIStatusError) -> bool:
    """Whether it is an event of a stream that had begun well, of a kind that may pass."""
    return error.response.is_success and error.type in (None, "api_error", "timeout_error")


def _status(error: anthropic.APIStatusError, now: float, cost: Cost, model: str) -> BackendError:
    message, code = _message(error), error.status_code
    regain = _REGAIN.search(error.message)
    if code == 429 or error.type == "rate_limit_error" or regain:
        wait = SPENT_S if "spend_limit" in (error.error_code or "") else OVERLOAD_S
        until = _regained(regain) if regain else until_of(error.response.headers, now, wait)
        return ParkedError(f"a limit of the Anthropic API is reached: {message}", _sane(until, now), cost)
    if code == 529 or error.type == "overloaded_error":
        until = now + (retry_after_s(error.response.headers, now) or OVERLOAD_S)
        return ParkedError("the Anthropic API is overloaded", _sane(until, now), cost)
    if code in (401, 403):
        return BackendError(
            f"the Anthropic API refuses {KEY_NAME} ({code}): {message}; set another, "
            "`autoresearch-tui doctor` checks it",
            cost,
        )
    if code == 402 or error.type == "billing_error" or "credit balance" in error.message:
        return BackendError(f"the Anthropic account can't pay: {message}; mend its billing", cost)
    if code == 404:
        return BackendError(f"the Anthropic API has no model {model!r}: {message}; choose another", cost)
    if code < 500:
        return BackendError(f"the Anthropic API refuses the request ({code}): {message}", cost)
    return BackendError(f"the Anthropic API failed ({code}): {message}; the step can be tried again", cost)


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long the API asks to wait."""
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(float(headers[name]) / per_second, 0.0)
        except (KeyError, ValueError):
            continue
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(email.utils.mktime_tz(date) - now, 0.0) if date else None


def until_of(headers: Mapping[str, str], now: float, default_s: float = OVERLOAD_S) -> float:
    """When a limit ends: as it says itself, when what is used up is filled again, or after `default_s`."""
    wait = retry_after_s(headers, now)
    if wait is not None:
        return now + wait
    resets = {
        match[1]: at for name in headers if (match := _RESET.match(name)) and (at := _instant(headers[name]))
    }
    used_up = [at for name, at in resets.items() if _is_used_up(headers, name)]
    return max(used_up or resets.values(), default=now + default_s)


def _is_used_up(headers: Mapping[str, str], name: str) -> bool:
    remaining = headers.get(f"anthropic-ratelimit-{name}-remaining")
    return remaining == "0" or headers.get(f"anthropic-ratelimit-{name}-status") == "rejected"


def _instant(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _regained(match: re.Match[str]) -> float:
    return datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00'}").replace(tzinfo=UTC).timestamp()


def _sane(until: float, now: float) -> float:
    # Not a number, or one that a typing error made: never parked for ever.
    return min(max(until, now), now + LONGEST_PARK_S) if until == until else now + OVERLOAD_S


def _message(error: anthropic.AnthropicError) -> str:
    message = error.api_message if isinstance(error, anthropic.APIStatusError) else None
    return one_line(message or str(error))[:200]
