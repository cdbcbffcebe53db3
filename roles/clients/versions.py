"""Which version of a client is installed, and whether it is one that was proven."""

from __future__ import annotations

import re

from roles.backend import BackendError
from roles.clients.rooms import Rooms
from roles.clients.running import marker_of, program_of
from roles.clients.spec import AgentFile
from sessions.errors import SessionError
from sessions.guarded_child import GuardedChild

_NUMBER = re.compile(r"\d+(?:\.\d+)+[\w.+-]*")
_TIMEOUT_S = 30.0


def version_of(spec: AgentFile, rooms: Rooms) -> str:
    """As the client says it, "" when it does not. Raises BackendError when it is not installed."""
    program = program_of(spec, rooms.person_env)
    if not spec.version:
        return ""
    try:
        rooms.make(rooms.folder)
        with GuardedChild(
            [str(program), *spec.version],
            cwd=rooms.folder,
            env=rooms.environment(rooms.folder, may_write=False),
            stdin=None,
            marker=marker_of(rooms.folder),
            silence_s=_TIMEOUT_S,
            timeout_s=_TIMEOUT_S,
        ) as child:
            printed = "\n".join([*child.lines(), *child.stderr_tail])
    except (SessionError, OSError) as error:
        raise BackendError(f"{spec.name} does not say its version: {error}") from None
    found = _NUMBER.search(printed)
    return found[0] if found else ""


def told_version(spec: AgentFile, rooms: Rooms) -> str:
    """One line for the pane. Raises BackendError."""
    version = version_of(spec, rooms)
    if not version or not spec.known_versions:
        return f"{spec.name} {version}".strip()
    known = any(version.startswith(beginning) for beginning in spec.known_versions)
    seen = "" if known else f" (proven with {', '.join(f'{each}x' for each in spec.known_versions)})"
    return f"{spec.name} {version}{seen}"
