"""Which variables of our environment each kind of process gets; all else, keys above all, stays out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

_LOCALE = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
_PERSON = ("USER", "LOGNAME")

# How the machine reaches the network at all.
NETWORK = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)

# A runner: API keys in its environment could be read by the code under test.
RUNNER = ("PATH", "HOME", "TMPDIR", *_LOCALE, *_PERSON)
# A training run, and the lab's own checks.
TRAINING_RUN = ("PATH", "LD_LIBRARY_PATH", "CUDA_HOME", "SSL_CERT_FILE", *_LOCALE)
# A client: with how the machine reaches the network at all, but no provider's keys.
CLIENT = ("PATH", "SHELL", *_LOCALE, *_PERSON, *NETWORK)
# A client whose own interface has the pane.
INTERACTIVE_CLIENT = (*CLIENT, "TERM", "COLORTERM")

# Where we run inside a tmux; without them ours starts, or nests, freely.
OUTER_TMUX = ("TMUX", "TMUX_PANE")
# Set where we are called from a git hook or alias: they would point git at another repository.
CALLING_GIT = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_EXTERNAL_DIFF"),
)

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL|AUTH")


def looks_secret(name: str) -> bool:
    """Whether a variable of that name holds what nobody else should read."""
    return bool(_SECRET.search(name.upper()))


def passed_on(names: Iterable[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Of these variables those that are set."""
    return {name: environment[name] for name in names if name in environment}


def without(names: Iterable[str]) -> dict[str, str]:
    """Our environment without these variables."""
    return {name: value for name, value in os.environ.items() if name not in names}
