"""Which backends there are, and one of them for an agent."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from roles.backend import Backend, BackendContext, BackendError
from roles.backends.clients.catalogue_files import agent_files, read_agent
from roles.backends.clients.client_setup import Auth
from roles.backends.clients.spec import AgentFile
from supervisor.errors import ConfigError, LabError

COMMAND = "command"


def _offline(_: BackendContext) -> Backend:
    from roles.backends.offline.backend import OfflineBackend

    return OfflineBackend()


def _anthropic(context: BackendContext) -> Backend:
    from roles.backends.anthropic.backend import AnthropicBackend

    return AnthropicBackend(context)


def _client(name: str, context: BackendContext) -> Backend:
    from roles.backends.clients.client import ClientBackend

    try:
        spec = read_agent(agent_files(context.agents_folder)[name])
        if name == COMMAND:
            spec = _with_command(spec, context)
    except (ConfigError, ValueError) as error:
        raise BackendError(str(error)) from None
    return ClientBackend(spec, context, Auth(context.auth))


def _with_command(spec: AgentFile, context: BackendContext) -> AgentFile:
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


MAKERS: dict[str, Callable[[BackendContext], Backend]] = {"offline": _offline, "anthropic": _anthropic}


def known_backends(folder: Path | None = None) -> tuple[str, ...]:
    """Those of code, the clients of the catalogue, and the person's own in `folder`."""
    return tuple(dict.fromkeys((*MAKERS, *agent_files(folder))))


def make_backend(name: str, context: BackendContext) -> Backend:
    """The backend of that name for one agent. Raises BackendError for an unknown one, or a wrong file."""
    if name in MAKERS:
        return MAKERS[name](context)
    if name in agent_files(context.agents_folder):
        return _client(name, context)
    raise BackendError(
        f"there is no backend {name!r}; there are: {', '.join(known_backends(context.agents_folder))}"
    )


def expect_backends(*names: str, folder: Path | None = None) -> None:
    """Raises LabError when one of these is no backend: better now than in an agent's pane."""
    known = known_backends(folder)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LabError(f"there is no backend {unknown[0]!r}; there are: {', '.join(known)}")
    for name in names:
        if name not in MAKERS:
            read_agent(agent_files(folder)[name])
