"""Failures that may be nobody's fault and gone the next time: such a run is made once more, unchanged. Pure."""

from __future__ import annotations

import re

from sessions.runs.contract import RunEnding, RunOutcome

AGAIN = "made again unchanged"  # how the reason of a voided attempt begins
_FOREIGN_SHARE = 0.1  # of a GPU's memory, held by others, from which on its lack is a neighbour's

# What a GPU says when its driver, a neighbour or a wild moment was at fault. A device-side assert, a wrong launch
# configuration or a missing kernel image come of the code, each time.
_GPU = re.compile(
    r"CUDA error: (?!device-side assert|invalid|no kernel image|an illegal instruction|misaligned)|CUBLAS_STATUS_"
    r"(?:NOT_INITIALIZED|ALLOC_FAILED|EXECUTION_FAILED|INTERNAL_ERROR)|CUDNN_STATUS_(?:NOT_INITIALIZED|ALLOC_FAILED"
    r"|EXECUTION_FAILED|INTERNAL_ERROR)|unspecified launch failure|NCCL (?:error|communicator)|ncclSystemError"
    r"|ncclInternalError|cuda ?error ?launch ?timeout|the launch timed out",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"connection (?:reset|aborted|timed out|closed)|ConnectionResetError|ECONNRESET|ETIMEDOUT|EAI_AGAIN|socket hang up"
    r"|temporary failure in name resolution|RemoteDisconnected|remote end closed|ReadTimeout|ConnectTimeout"
    r"|read operation timed out|read timed out|server disconnected|IncompleteRead|broken pipe|TLS handshake timeout"
    r"|APIConnectionError|APITimeoutError|InternalServerError|RateLimitError|OverloadedError|ServiceUnavailable"
    r"|\b(?:429|500|502|503|504|529)\b.{0,40}(?:too many requests|internal server error|bad gateway|unavailable"
    r"|time-?out|overloaded)",
    re.IGNORECASE,
)
_NEW_SHARES = re.compile(
    r"total capacity of (?P<total>[\d.]+) (?P<total_unit>[GM]iB) of which (?P<free>[\d.]+) (?P<free_unit>[GM]iB) is "
    r"free.*?this process has (?P<own>[\d.]+) (?P<own_unit>[GM]iB)"
)
_OLD_SHARES = re.compile(
    r"(?P<total>[\d.]+) (?P<total_unit>[GM]iB) total capacity;.*?(?P<free>[\d.]+) (?P<free_unit>[GM]iB) free; "
    r"(?P<own>[\d.]+) (?P<own_unit>[GM]iB) reserved"
)


def passing_failure(outcome: RunOutcome, earlier: tuple[str, ...], *, offline: bool, memory_mb: float) -> str:
    """Why the run should be made again as it is, in a line; "" when what it says is a result, or it had its chance.

    `earlier`: why attempts of it did not count; `offline`: it had no network, so that no network could fail it;
    `memory_mb`: the machine's.
    """
    if any(why.partition(": ")[2].startswith(AGAIN) for why in earlier):
        return ""
    reason = outcome.reason
    if outcome.ending is RunEnding.OUT_OF_MEMORY:
        passes = _is_neighbours(reason) or _was_small(outcome, memory_mb)
    else:
        speaks = _GPU.search(reason) or (None if offline else _NETWORK.search(reason))
        passes = outcome.ending is RunEnding.CRASHED and speaks is not None
    return f"{AGAIN}: {reason}" if passes else ""


def _is_neighbours(reason: str) -> bool:
    """Whether others hold a good part of the GPU whose memory did not suffice, by the words of torch."""
    shares = _NEW_SHARES.search(reason) or _OLD_SHARES.search(reason)
    if shares is None:
        return False
    total, free, own = (_mib(shares[name], shares[f"{name}_unit"]) for name in ("total", "free", "own"))
    return total - free - own > _FOREIGN_SHARE * total


def _was_small(outcome: RunOutcome, memory_mb: float) -> bool:
    """Whether the kernel killed a run that held less than half of the machine's memory."""
    peak_mb = outcome.peak_memory_mb
    return outcome.reason.startswith("the system killed it") and 0 < peak_mb < memory_mb / 2


def _mib(number: str, unit: str) -> float:
    return float(number) * (1024 if unit == "GiB" else 1)
