"""A client's own rooms and what it sees of the machine: its HOME, its TMPDIR, its environment, its files."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

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
class Rooms:
    """The places of one agent's client."""

    spec: AgentFile
    folder: Path  # BackendContext.folder
    auth: Auth  # never AUTO
    person_env: Mapping[str, str]

    @property
    def home(self) -> Path:
        """Kept between runs: its sessions lie there."""
        return self.folder / "home"

    @property
    def tmp(self) -> Path:
        """Emptied before every run."""
        return self.folder / "tmp"

    def places(self, worktree: Path) -> dict[str, str]:
        """The folders by their placeholders."""
        person = self.person_env.get("HOME") or os.path.expanduser("~")  # noqa: PTH111
        named = {"home": self.home, "tmp": self.tmp, "context": self.folder, "worktree": worktree}
        return {name: str(path) for name, path in named.items()} | {"person_home": person}

    def make(self, worktree: Path) -> None:
        """Make them, and write the client's files. Raises OSError."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        for folder in (self.folder, self.home, self.tmp):
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        if self.auth is Auth.INHERIT:
            return
        places = self.places(worktree)
        # As they stand inside a JSON or TOML text.
        escaped = {name: json.dumps(value)[1:-1] for name, value in places.items()}
        for name, text in self.spec.files.items():
            path = Path(filled(name, places))
            if not path.is_relative_to(self.folder):
                raise OSError(
                    f"{path} is outside {self.folder}: an agent's file may write its own files only"
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(filled(text, escaped), encoding="utf-8")
            path.chmod(0o600)

    def environment(self, worktree: Path, *, may_write: bool) -> dict[str, str]:
        """From scratch: no variable of another provider, no agent socket, no git identity."""
        persons = passed_on((*CLIENT, *self.spec.keys), self.person_env)
        # An empty key, or proxy, is none.
        env = {name: value for name, value in persons.items() if value}
        home, tmp = str(self.home), str(self.tmp)
        env |= {"HOME": home, "TMPDIR": tmp, "TMP": tmp, "TEMP": tmp, "TERM": "dumb", "NO_COLOR": "1"}
        env |= {
            f"XDG_{name}_HOME": f"{home}/.{name.lower()}" for name in ("CONFIG", "CACHE", "DATA", "STATE")
        }
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        env |= {"GIT_OPTIONAL_LOCKS": "0"}
        env.setdefault("LANG", "C.UTF-8")
        own = self.spec.environment | (
            self.spec.edit_environment if may_write else self.spec.plan_environment
        )
        if self.auth is Auth.INHERIT and self.spec.inherit is not None:
            own |= self.spec.inherit.environment
        places = self.places(worktree)
        return env | {name: filled(value, places) for name, value in own.items()}

    def reach(self, program: Path, worktree: Path, *, may_write: bool) -> Reach:
        """What it may touch: its rooms, and the worktree to read or to edit."""
        places = self.places(worktree)
        inherit = self.spec.inherit if self.auth is Auth.INHERIT else None
        persons = tuple(Path(filled(path, places)) for path in (inherit.write if inherit else ()))
        readable = tuple(Path(filled(path, places)) for path in self.spec.readable)
        writable = (self.home, self.tmp, *persons, *((worktree,) if may_write else ()))
        state = self.folder.parent.parent  # `.autoresearch`: the holdout, other agents, the store
        hidden = (state.resolve(), sealed_data().resolve())
        return Reach(program, (worktree, self.folder, *_git_of(worktree), *readable), writable, hidden)

    def hider(self) -> Callable[[str], str]:
        """Takes this client's secrets out of a text."""
        names = [name for name in self.spec.keys if _SECRET.search(name)]
        secrets = [
            self.person_env[name] for name in names if len(self.person_env.get(name, "")) >= _SHORTEST_SECRET
        ]

        def hide(text: str) -> str:
            for secret in secrets:
                text = text.replace(secret, "…")
            return text

        return hide


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
    places = {"person_home": env.get("HOME") or os.path.expanduser("~")}  # noqa: PTH111
    paths = [filled(path, places) for path in (spec.inherit.login if spec.inherit else ())]
    return next((path for path in paths if Path(path).exists()), "")


def _git_of(worktree: Path) -> tuple[Path, ...]:
    # Of a linked worktree: the repository's own folder, so that `git log` works in it.
    try:
        words = (worktree / ".git").read_text(encoding="utf-8").partition("gitdir:")[2].strip()
    except OSError:
        return ()
    return (Path(words).parent.parent,) if words else ()
