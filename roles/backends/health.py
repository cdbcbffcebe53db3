"""Whether a backend could work here: is it installed, which version, whose login. No secret is read or shown."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from roles.backend import BackendError
from roles.backends.clients.catalogue_files import agent_files, read_agent
from roles.backends.clients.client_setup import Auth, ClientSetup, auth_of, key_of, login_of
from roles.backends.clients.run import version_line
from roles.backends.registry import MAKERS
from supervisor.errors import ConfigError
from supervisor.lab.config import AgentSpec


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """What could be seen of a backend."""

    summary: str
    works: bool
    mend: str = ""  # what to do, in a line


def health_of(agent: AgentSpec, folder: Path | None) -> BackendHealth:
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
        return _client(agent, files[agent.backend])
    except (BackendError, ConfigError) as error:
        return BackendHealth(str(error), False)


def _client(agent: AgentSpec, file: Path) -> BackendHealth:
    spec, env = read_agent(file), dict(os.environ)
    if agent.command:
        return BackendHealth(f"runs `{agent.command}`", True)
    if spec.binary and shutil.which(spec.binary) is None:
        return BackendHealth(f"{spec.binary} is not installed", False, spec.install)
    auth = auth_of(spec, Auth(agent.auth), env)
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        version = version_line(ClientSetup(spec, Path(folder), auth, env))
    key, login = key_of(spec, env), login_of(spec, env)
    if auth is Auth.INHERIT:
        return BackendHealth(f"{version}; logged in by {login or 'its own means'}", True)
    if key or not spec.keys:
        return BackendHealth(f"{version}; key in {key}" if key else version, True)
    return BackendHealth(f"{version}; neither a key nor a login was found", False, f"export {spec.keys[0]}=…")
