"""Whether a backend could work here: is it installed, which version, whose login. No secret is read or shown."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from roles.backend import BackendError
from roles.backends.clients.catalogue_files import agent_files, read_agent
from roles.backends.clients.home import Auth, Rooms, auth_of, key_of, login_of
from roles.backends.clients.run import told_version
from roles.backends.registry import MAKERS
from supervisor.errors import ConfigError
from supervisor.lab.config import AgentSpec


@dataclass(frozen=True, slots=True)
class MindHealth:
    """What was found of a backend."""

    found: str
    works: bool
    mend: str = ""  # what to do, in a line


def health_of(agent: AgentSpec, folder: Path | None) -> MindHealth:
    """Look at the backend of an agent; `folder` holds the person's own agent files."""
    if agent.backend == "anthropic":
        key = "ANTHROPIC_API_KEY"
        if os.environ.get(key):
            return MindHealth(f"the Messages API; key in {key}", True)
        return MindHealth(f"the Messages API; {key} is not set", False, f"export {key}=…")
    if agent.backend in MAKERS:
        return MindHealth("built in", True)
    files = agent_files(folder)
    if agent.backend not in files:
        return MindHealth("there is no such backend", False, f"one of {', '.join((*MAKERS, *files))}")
    try:
        return _client(agent, files[agent.backend])
    except (BackendError, ConfigError) as error:
        return MindHealth(str(error), False)


def _client(agent: AgentSpec, file: Path) -> MindHealth:
    spec, env = read_agent(file), dict(os.environ)
    if agent.command:
        return MindHealth(f"runs `{agent.command}`", True)
    if spec.binary and shutil.which(spec.binary) is None:
        return MindHealth(f"{spec.binary} is not installed", False, spec.install)
    auth = auth_of(spec, Auth(agent.auth), env)
    with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
        version = told_version(spec, Rooms(spec, Path(folder), auth, env))
    key, login = key_of(spec, env), login_of(spec, env)
    if auth is Auth.INHERIT:
        return MindHealth(f"{version}; logged in by {login or 'its own means'}", True)
    if key or not spec.keys:
        return MindHealth(f"{version}; key in {key}" if key else version, True)
    return MindHealth(f"{version}; neither a key nor a login was found", False, f"export {spec.keys[0]}=…")
