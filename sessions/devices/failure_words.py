"""Last words of a run that speak of its device, not of its code. Pure."""

from __future__ import annotations

import re

# CUDA's own names for a GPU that is broken, gone or taken; what a wrong kernel says ("illegal memory access",
# "unspecified launch failure", "device-side assert") is not among them.
_WORDS = re.compile(
    r"uncorrectable (nvlink |ecc )?error|uncorrectable ecc|(gpu|device) (is|was) lost|fallen off the bus"
    r"|no cuda-capable device is detected|all cuda-capable devices are busy or unavailable"
    r"|cudaError(ECCUncorrectable|NoDevice|DevicesUnavailable|NvlinkUncorrectable|SystemNotReady)"
    r"|unable to determine the device handle for gpu",
    re.IGNORECASE,
)


def speaks_of_device(reason: str) -> bool:
    """Whether a run's last words blame its GPU. Only a hint: the code under test can say anything."""
    return bool(_WORDS.search(reason))
