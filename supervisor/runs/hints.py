"""Why a run failed that works outside the lab: the key of autoresearch.toml that would give it what it lacked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from sessions.errors import SessionError
from sessions.files import read_tail
from sessions.git.ignored import ignored_paths
from sessions.network import Network
from sessions.runs.contract import LOG_FILE, RunEnding, RunOutcome
from sessions.runs.log import without_escapes
from sessions.sandbox.run_sandbox import Confinement, probe
from supervisor.lab.ignored_files import beside
from supervisor.lab.paths import STATE_FOLDER, Lab

_TAIL_BYTES = 8192
_PATH = re.compile(r"[\w@.+/-]+")
_ABSENT = re.compile(
    r"no such file|not found|cannot find|can't find|could not find|does not exist|no module named|ENOENT"
    r"|can't open|cannot open|failed to open|unable to open|FileNotFound|missing",
    re.I,
)
_REFUSED = re.compile(r"read-only file system|permission denied|EROFS|EACCES|PermissionError", re.I)
_UNREACHED = re.compile(
    r"connection refused|network is unreachable|no route to host|name or service not known|could not resolve"
    r"|temporary failure in name resolution|failed to resolve|nodename nor servname|getaddrinfo"
    r"|ECONNREFUSED|ENETUNREACH|ENOTFOUND|EAI_AGAIN|failed to establish a new connection|no such host"
    r"|APIConnectionError|ConnectError|dns error",
    re.I,
)
_REFUSED_THERE = re.compile(r"connection refused|ECONNREFUSED", re.I)
_LOCAL = re.compile(r"localhost|127\.0\.0\.1|\[?::1\]?[:/ ]", re.I)
_PACKAGE = re.compile(r"cannot find (?:module|package) '(?P<name>[\w@./-]+)'", re.I)
_MODULE = re.compile(r"No module named '(?P<name>\w+)")
_PROGRAM = re.compile(r"(?:^|\s)(?P<name>[\w.-]+): (?:command )?not found", re.M)


def with_hint(lab: Lab, folder: Path, bench: Path, outcome: RunOutcome, *, unchanged: bool) -> RunOutcome:
    """The outcome of the run in `folder`, its reason ending in the key that mends it, where one does.

    Code that is `unchanged` works outside the lab: a server that it misses is one that the sandbox hides.
    """
    if outcome.ending not in (RunEnding.CRASHED, RunEnding.TIMED_OUT):
        return outcome
    text = f"{without_escapes(read_tail(folder / LOG_FILE, _TAIL_BYTES))}\n{outcome.reason}"
    hint = hint_for(lab, text, bench) or (unchanged and _unreached(lab, text))
    return replace(outcome, reason=f"{outcome.reason}; {hint}") if hint else outcome


def hint_for(lab: Lab, text: str, bench: Path) -> str:
    """What a run's last words ask for and the lab could give; "" where they tell of nothing like that."""
    return _written(lab, text, bench) or _absent(lab, text, bench)


def _absent(lab: Lab, text: str, bench: Path) -> str:
    """A path that the run looked for in vain, and that lies in the person's checkout, ignored by git."""
    # Refused as well: what lies above a bench is found there by some languages, and closed to the run.
    lines = [line for line in text.splitlines() if _ABSENT.search(line) or _REFUSED.search(line)]
    there = [path for path in _candidates("\n".join(lines), lab, bench) if (lab.root / path).exists()]
    if not there:
        return ""
    try:
        ignored = [path for path in ignored_paths(lab.root) if not path.startswith(f"{STATE_FOLDER}/")]
    except SessionError:
        return ""
    given = beside(lab)
    for path in there:
        entry = next(
            (e for e in ignored if path == e.rstrip("/") or path.startswith(f"{e.rstrip('/')}/")), None
        )
        if entry is not None and entry.rstrip("/") not in (*given.links, *given.copies):
            return (
                f'{path} is here and ignored by git: [lab] links = ["{entry.rstrip("/")}"] gives it to runs'
            )
    return ""


def _unreached(lab: Lab, text: str) -> str:
    """A server that the sandbox kept the run from."""
    network = lab.config.lab.network
    lines = [line for line in text.splitlines() if _UNREACHED.search(line)]
    if not lines or network is Network.OPEN or probe() is Confinement.NONE:
        return ""
    # In a network of its own nothing but its loopback can refuse; what leads out is unreachable, or has no address.
    if any(_REFUSED_THERE.search(line) for line in lines) or any(map(_LOCAL.search, lines)):
        if network is Network.LOOPBACK:
            return ""
        return 'the sandbox keeps runs from this machine\'s servers: [lab] network = "loopback" lets them reach these'
    return f'the sandbox keeps runs off the network ([lab] network = "{network}"): "open" lets them out'


def _written(lab: Lab, text: str, bench: Path) -> str:
    """A link that the run wanted to write through."""
    links = beside(lab).links
    for line in text.splitlines() if links else ():
        for path in _paths_in(line, lab, bench) if _REFUSED.search(line) else ():
            link = next((link for link in links if path == link or path.startswith(f"{link}/")), None)
            if link is not None:
                return (
                    f'runs may read {link} and not write there: [lab] copies = ["{link}"] gives each its own'
                )
    return ""


def _candidates(text: str, lab: Lab, bench: Path) -> Iterator[str]:
    yield from _paths_in(text, lab, bench)
    for match in _PACKAGE.finditer(text):
        parts = PurePosixPath(match["name"]).parts
        yield "/".join(("node_modules", *parts[: 2 if match["name"].startswith("@") else 1]))
    for match in _MODULE.finditer(text):
        yield from (match["name"], f"{match['name']}.py")
    for match in _PROGRAM.finditer(text):
        yield from (f"{folder}/{match['name']}" for folder in (".venv/bin", "node_modules/.bin"))


def _paths_in(text: str, lab: Lab, bench: Path) -> Iterator[str]:
    """The paths that a text names, as the lab's folder has them."""
    for word in _PATH.findall(text):
        path = os.path.normpath(word.strip(".,:;") if not word.startswith(".") else word.rstrip(":;,"))
        for folder in (bench / lab.folder, lab.root):
            if path.startswith(f"{folder}/"):
                path = path.removeprefix(f"{folder}/")
        if path not in (".", "") and not path.startswith(("/", "..")):
            yield path
