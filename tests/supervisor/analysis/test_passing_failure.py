"""Which failures are worth the same run once more."""

from __future__ import annotations

import pytest

from sessions.runs.contract import RunEnding, RunOutcome
from supervisor.analysis.passing_failure import passing_failure

RAM_MB = 64_000.0
SHARED = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB "
    "of which 1.20 GiB is free. Process 1234 has 60.00 GiB memory in use. Including non-PyTorch memory, this process "
    "has 17.90 GiB memory in use. (train.py:4)"
)
ALONE = SHARED.replace("Process 1234 has 60.00 GiB memory in use. ", "").replace("17.90", "77.80")


def ended(ending: RunEnding, reason: str, peak_mb: float = 900.0) -> RunOutcome:
    return RunOutcome("e0001.1", ending, reason, None, 0.0, 9.0, 9.0, 9.0, 9.0, 1.0, peak_mb)


@pytest.mark.parametrize(
    "reason",
    [
        "RuntimeError: CUDA error: unspecified launch failure (train.py:3)",
        "torch.AcceleratorError: CUDA error: an illegal memory access was encountered (train.py:9)",
        "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)` (train.py:9)",
        "openai.APIConnectionError: Connection error. (judge.py:3)",
        "urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out. (read timeout=60) (judge.py:3)",
        "ConnectionResetError: [Errno 104] Connection reset by peer (judge.py:3)",
        "Error: read ECONNRESET (eval.js:4)",
        "httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://api' (judge.py:3)",
    ],
)
def test_a_flake_is_run_again_once(reason: str) -> None:
    outcome = ended(RunEnding.CRASHED, reason)
    again = passing_failure(outcome, (), offline=False, memory_mb=RAM_MB)
    assert again.endswith(reason)
    assert passing_failure(outcome, ("on cuda:0: ann trained there",), offline=False, memory_mb=RAM_MB)
    assert not passing_failure(outcome, (f"on cuda:0: {again}",), offline=False, memory_mb=RAM_MB)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (RunEnding.CRASHED, "NameError: name 'x' is not defined (train.py:1)"),
        (RunEnding.CRASHED, "RuntimeError: CUDA error: device-side assert triggered (train.py:3)"),
        (RunEnding.CRASHED, "RuntimeError: CUDA error: invalid configuration argument (train.py:3)"),
        (RunEnding.CRASHED, "AssertionError: only 503 of 600 cases (evaluate.py:3)"),
        (RunEnding.TIMED_OUT, "no result after 60 s, while training"),
        (RunEnding.OUT_OF_MEMORY, ALONE),
        (RunEnding.MEASURED, ""),
    ],
)
def test_what_the_code_did_is_its_own_fault(ending: RunEnding, reason: str) -> None:
    assert not passing_failure(ended(ending, reason), (), offline=False, memory_mb=RAM_MB)


def test_memory_that_a_neighbour_held_is_a_flake() -> None:
    assert passing_failure(ended(RunEnding.OUT_OF_MEMORY, SHARED), (), offline=True, memory_mb=RAM_MB)
    killed = "the system killed it: out of memory"
    small, large = (ended(RunEnding.OUT_OF_MEMORY, killed, peak) for peak in (900.0, 60_000.0))
    assert passing_failure(small, (), offline=True, memory_mb=RAM_MB)
    assert not passing_failure(large, (), offline=True, memory_mb=RAM_MB)


def test_a_run_without_a_network_is_never_failed_by_it() -> None:
    outcome = ended(RunEnding.CRASHED, "socket.gaierror: [Errno -3] Temporary failure in name resolution")
    assert passing_failure(outcome, (), offline=False, memory_mb=RAM_MB)
    assert not passing_failure(outcome, (), offline=True, memory_mb=RAM_MB)
