"""From an agent's context to the client that thinks for it."""

from __future__ import annotations

import shlex
from pathlib import Path

from roles.backend import Backend, BackendContext, BackendError
from roles.backends.clients.catalogue_files import agent_files, read_agent
from roles.backends.clients.home import Auth
from roles.backends.clients.spec import AgentFile
from supervisor.errors import ConfigError

COMMAND = "command"


def make_client(name: str, context: BackendContext) -> Backend:
    """The backend that this agent's file describes. Raises BackendError."""
    from roles.backends.clients.client import ClientBackend

    try:
        spec = read_agent(agent_files(context.agents_folder)[name])
        if name == COMMAND:
            spec = _of_command(spec, context)
    except (ConfigError, ValueError) as error:
        raise BackendError(str(error)) from None
    return ClientBackend(spec, context, Auth(context.auth))


def _of_command(spec: AgentFile, context: BackendContext) -> AgentFile:
    # Split once, as a shell would, from the person's own file; no shell runs it.
    words = shlex.split(context.command)
    if not words:
        raise BackendError(
            'backend "command" needs `command = "…"` beside it in [agents] of autoresearch.toml'
        )
    program, *arguments = words
    if "/" in program:
        program = str(Path(context.root, Path(program).expanduser()))
    return spec.model_copy(update={"binary": program, "edit": tuple(arguments)})
