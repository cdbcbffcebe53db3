"""What an agent's client runs with: its HOME, its TMPDIR, its environment, its files, and what it may touch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from roles.backend import BackendError
from roles.backends.clients.spec import AgentFile, filled
from sessions.environment import CLIENT, passed_on
from sessions.sandbox.client_sandbox import Reach
from supervisor.lab.paths import sealed_data

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.I)
_SHORTEST_SECRET = 6


class Auth(StrEnum):
    """Where a client's credentials come from."""

    AUTO = ""  # own when its key is in the environment, else inherit when the person is logged in
    OWN = "own"  # a configuration of its own; the key from the environment
    INHERIT = "inherit"  # the person's own login


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """One agent's client: what its file says, where its things lie, whose login it has."""

    spec: AgentFile
    folder: Path  # BackendContext.folder
    auth: Auth  # never AUTO
    person_env: Mapping[str, str]

    @property
    def program(self) -> Path:
        """Where the client is installed. Raises BackendError."""
        program = shutil.which(self.spec.binary, path=self.person_env.get("PATH", os.defpath))
        if program is None:
            install = f"; {self.spec.install}" if self.spec.install else ""
            raise BackendError(f"{self.spec.binary} is not installed{install}")
        return Path(program)

    @property
    def home(self) -> Path:
        """Kept between runs: its sessions lie there."""
        return self.folder / "home"

    @property
    def tmp(self) -> Path:
        """Emptied before every step."""
        return self.folder / "tmp"

    def places(self, worktree: Path) -> dict[str, str]:
        """The folders by their placeholders."""
        places = {"home": self.home, "tmp": self.tmp, "agent_folder": self.folder, "worktree": worktree}
        # The files of persons may still call it so.
        places["office"] = self.folder
        return {name: str(path) for name, path in places.items()} | {"person_home": home_of(self.person_env)}

    def make(self, worktree: Path) -> None:
        """Make its folders, with an empty TMPDIR, and write the client's files. Raises OSError."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.make_folders()
        if self.auth is not Auth.INHERIT:
            places = self.places(worktree)
            for name, text in self.spec.files.items():
                self.write_file(filled(name, places), filled(text, escaped(places)))

    def make_folders(self) -> None:
        """Make its folders. Raises OSError."""
        for folder in (self.folder, self.home, self.tmp):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)

    def write_file(self, name: str, text: str) -> None:
        """Write one of the client's own files. Raises OSError."""
        path = Path(name)
        if not path.is_relative_to(self.folder):
            raise OSError(f"{path} is outside {self.folder}: an agent's file may write its own files only")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)

    def environment(self, worktree: Path, *, may_write: bool) -> dict[str, str]:
        """From scratch: no variable of another provider, no agent socket, no git identity."""
        own = self.spec.edit_environment if may_write else self.spec.plan_environment
        if self.auth is Auth.INHERIT and self.spec.inherit is not None:
            own = own | self.spec.inherit.environment
        return self.environment_with(own, worktree) | {"TERM": "dumb", "NO_COLOR": "1"}

    def environment_with(self, own: Mapping[str, str], worktree: Path) -> dict[str, str]:
        """What a client gets in any case, `[environment]`, and `own` over both."""
        persons = passed_on((*CLIENT, *self.spec.keys), self.person_env)
        # An empty key, or proxy, is none.
        env = {name: value for name, value in persons.items() if value}
        home, tmp = str(self.home), str(self.tmp)
        env |= {"HOME": home, "TMPDIR": tmp, "TMP": tmp, "TEMP": tmp}
        env |= {
            f"XDG_{name}_HOME": f"{home}/.{name.lower()}" for name in ("CONFIG", "CACHE", "DATA", "STATE")
        }
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        env |= {"GIT_OPTIONAL_LOCKS": "0"}
        env.setdefault("LANG", "C.UTF-8")
        places = self.places(worktree)
        return env | {name: filled(value, places) for name, value in {**self.spec.environment, **own}.items()}

    def reach(self, worktree: Path, *, may_write: bool) -> Reach:
        """What it may touch: its own folders, and the worktree to read or to edit. Raises BackendError."""
        places = self.places(worktree)
        inherit = self.spec.inherit if self.auth is Auth.INHERIT else None
        persons = tuple(Path(filled(path, places)) for path in (inherit.write if inherit else ()))
        readable = tuple(Path(filled(path, places)) for path in self.spec.readable)
        writable = (self.home, self.tmp, *persons, *((worktree,) if may_write else ()))
        # The holdout, other agents' folders, the store; and the keys that lie in the person's checkout.
        state = self.folder.parent.parent
        checkouts = {folder.parent for folder in (state, *_git_of(worktree))}
        dotenv = (file.resolve() for folder in checkouts for file in folder.glob(".env*"))
        hidden = (state.resolve(), sealed_data().resolve(), *dotenv)
        return Reach(self.program, (worktree, self.folder, *_git_of(worktree), *readable), writable, hidden)

    def without_secrets(self, text: str) -> str:
        """The text without this client's keys."""
        for name in self.spec.keys:
            secret = self.person_env.get(name, "")
            if _SECRET.search(name) and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text


def marker_of(folder: Path) -> str:
    """In the environment of every process of the clients of the agent whose folder it is."""
    return f"client-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"


def escaped(values: Mapping[str, str]) -> dict[str, str]:
    """The values as they stand inside a string of JSON or TOML."""
    return {name: json.dumps(value)[1:-1] for name, value in values.items()}


def home_of(env: Mapping[str, str]) -> str:
    """The person's."""
    return env.get("HOME") or os.path.expanduser("~")  # noqa: PTH111


def auth_of(spec: AgentFile, wanted: Auth, env: Mapping[str, str]) -> Auth:
    """What AUTO comes to."""
    if spec.inherit is None:
        return Auth.OWN
    if wanted is not Auth.AUTO:
        return wanted
    return Auth.OWN if key_of(spec, env) or not login_of(spec, env) else Auth.INHERIT


def key_of(spec: AgentFile, env: Mapping[str, str]) -> str:
    """The name of the variable that holds its key, "" for none; never the key."""
    return next((name for name in spec.keys if _SECRET.search(name) and env.get(name)), "")


def login_of(spec: AgentFile, env: Mapping[str, str]) -> str:
    """The file that shows that the person is logged in, "" for none; it is not read."""
    places = {"person_home": home_of(env)}
    paths = [filled(path, places) for path in (spec.inherit.login if spec.inherit else ())]
    return next((path for path in paths if Path(path).exists()), "")


def _git_of(worktree: Path) -> tuple[Path, ...]:
    # Of a linked worktree: the repository's own folder, so that `git log` works in it.
    try:
        git_dir = (worktree / ".git").read_text(encoding="utf-8").partition("gitdir:")[2].strip()
    except OSError:
        return ()
    return (Path(git_dir).parent.parent,) if git_dir else ()
