"""Whether a backend could work here: is it installed, which version, whose login. No secret is read or shown."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roles.backend import BackendError, Canvas
from roles.backends.clients.catalogue_files import agent_files, read_agent, user_folder
from roles.backends.clients.client_setup import Auth, ClientSetup, auth_of, key_of, login_of
from roles.backends.clients.run import version_line
from roles.backends.offline.backend import why_nothing_to_step
from roles.backends.registry import COMMAND, MAKERS
from supervisor.errors import ConfigError
from supervisor.lab.config import AgentSpec
from supervisor.lab.paths import Lab


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """What could be seen of a backend."""

    summary: str
    works: bool
    mend: str = ""  # what to do, in a line


def health_of(agent: AgentSpec, folder: Path | None, *, asks_version: bool = True) -> BackendHealth:
    """Look at the backend of an agent; `folder` holds the person's own agent files."""
    if agent.backend == "anthropic":
        key = "ANTHROPIC_API_KEY"
        if os.environ.get(key):
            return BackendHealth(f"the Messages API; key in {key}", True)
        return BackendHealth(f"the Messages API; {key} is not set", False, f"export {key}=…")
    if agent.backend in MAKERS:
        return BackendHealth("built in", True)
    files = agent_files(folder)
    if agent.backend not in files:
        return BackendHealth("there is no such backend", False, f"one of {', '.join((*MAKERS, *files))}")
    try:
        return _client(agent, files[agent.backend], asks_version)
    except (BackendError, ConfigError) as error:
        return BackendHealth(str(error), False)


def _client(agent: AgentSpec, file: Path, asks_version: bool) -> BackendHealth:
    spec, env = read_agent(file), dict(os.environ)
    if agent.backend == COMMAND:
        return _command(agent)
    if spec.binary and shutil.which(spec.binary) is None:
        return BackendHealth(f"{spec.binary} is not installed", False, spec.install)
    auth = auth_of(spec, Auth(agent.auth), env)
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        setup = ClientSetup(spec, Path(folder), auth, env)
        version = version_line(setup) if asks_version else spec.binary
    key, login = key_of(spec, env), login_of(spec, env)
    if auth is Auth.INHERIT:
        return BackendHealth(f"{version}; logged in by {login or 'its own means'}", True)
    if key or not spec.keys:
        return BackendHealth(f"{version}; key in {key}" if key else version, True)
    return BackendHealth(f"{version}; neither a key nor a login was found", False, f"export {spec.keys[0]}=…")


def _command(agent: AgentSpec) -> BackendHealth:
    try:
        program = next(iter(shlex.split(agent.command)), "")
    except ValueError as error:
        return BackendHealth(f"`{agent.command}` is no command: {error}", False)
    if not program:
        mend = 'write junior = { backend = "command", command = "…" } in [agents] of autoresearch.toml'
        return BackendHealth("no command is named", False, mend)
    # One with a folder lies in the lab, or anywhere; whoever starts it says so.
    if "/" not in program and shutil.which(program) is None:
        return BackendHealth(f"{program} is not installed", False, "put it on PATH")
    return BackendHealth(f"runs `{agent.command}`", True)


def why_unable(agent: AgentSpec, lab: Lab, canvas: Sequence[Canvas]) -> str:
    """Why this backend can do no step in this lab, with what to do about it; "" when nothing speaks against it."""
    if agent.backend == "offline":
        return why_nothing_to_step(canvas)
    health = health_of(agent, user_folder(lab), asks_version=False)
    return "" if health.works else "; ".join(part for part in (health.summary, health.mend) if part)
