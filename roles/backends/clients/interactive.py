"""A client whose own interface has an agent's pane: its command line, its files and its environment."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from roles.backend import BackendError
from roles.backends.clients.catalogue_files import agent_files, merged, read_agent
from roles.backends.clients.client_setup import ClientSetup, escaped
from roles.backends.clients.spec import AgentFile, Interactive, argv_of, filled
from sessions.environment import INTERACTIVE_CLIENT, passed_on
from supervisor.errors import LabError

FIRST_WORDS = (
    "You are {agent}, a junior engineer of a research lab. Its tools are those of the MCP server `lab`. Call brief "
    "first, then work in rounds: claim_hypothesis, edit (one change, only the files that it names), run_experiment, "
    "wait until the verdict is there, reflect; a note when a finding is worth another's time. Never train or commit "
    "yourself: the lab does. Go on with the next round until I say stop."
)


@dataclass(frozen=True, slots=True)
class InteractiveClient:
    """An agent's client and what it is given of the lab. Nothing of the person's configuration is read or written."""

    setup: ClientSetup
    interactive: Interactive
    agent: str
    model: str  # "": the client's own default
    worktree: Path
    state_dir: Path
    holdout: Path
    server: tuple[str, ...]  # the command of the lab's MCP server
    server_env: Mapping[str, str]
    hook: tuple[str, ...]  # the command of its hooks, to be followed by the event

    def argv(self) -> list[str]:
        """Its command line, with what it is told when it starts. Raises LabError when it is not installed."""
        spec = self.setup.spec
        try:
            program = self.setup.program
        except BackendError:
            raise LabError(f"{spec.binary} is not installed; `{spec.install}` installs it") from None
        values = self._places() | {
            "model": self.model,
            "first_words": FIRST_WORDS.format(agent=self.agent),
        }
        return [str(program), *argv_of(spec, self.interactive.argv, values)]

    def environment(self) -> dict[str, str]:
        """That of its steps, and the terminal's."""
        terminal = passed_on(INTERACTIVE_CLIENT)
        return terminal | self.setup.environment_with(self.interactive.environment, self.worktree)

    def configure(self) -> None:
        """Write its files. Those that it writes to as well keep what else they say. Raises OSError."""
        self.setup.make_folders()
        places, values = self._places(), self._values()
        fresh = {filled(name, places): filled(text, values) for name, text in self.interactive.files.items()}
        for name, text in self.setup.spec.files.items():
            path = filled(name, places)
            if path not in fresh:
                self.setup.write_file(path, _kept(Path(path), filled(text, values)))
        for path, text in fresh.items():
            self.setup.write_file(path, text)

    def _places(self) -> dict[str, str]:
        lab = {"state_dir": str(self.state_dir), "holdout": str(self.holdout)}
        return self.setup.places(self.worktree) | lab

    def _values(self) -> dict[str, str]:
        program, *server_words = self.server
        env = self.server_env.items()
        return escaped(self._places() | {"server": program, "hook": shlex.join(self.hook)}) | {
            "server_words": _listed(server_words),
            "hook_words": _listed(self.hook),
            "server_env": json.dumps(dict(env)),
            "server_env_toml": f"{{{', '.join(f'{name} = {json.dumps(value)}' for name, value in env)}}}",
        }


def interactive_spec(backend: str, folder: Path | None) -> tuple[AgentFile, Interactive]:
    """What is said of that backend's own interface. Raises LabError for one whose interface is not known."""
    file = agent_files(folder).get(backend)
    spec = read_agent(file) if file else None
    if spec is None or spec.interactive is None:
        ours = map(read_agent, agent_files(None).values())
        known = ", ".join(each.name for each in ours if each.interactive)
        raise LabError(f'{backend!r} has no interface for a pane; mode = "interactive" knows {known}')
    return spec, spec.interactive


def _listed(words: Iterable[str]) -> str:
    """Strings of JSON, and of TOML, in a list without its brackets."""
    return ", ".join(map(json.dumps, words))


def _kept(file: Path, text: str) -> str:
    """What a JSON file says already, with `text` over it; any other file says `text` alone."""
    try:
        present, needed = json.loads(file.read_text(encoding="utf-8")), json.loads(text)
    except (OSError, ValueError):
        return text
    both_objects = isinstance(present, dict) and isinstance(needed, dict)
    return json.dumps(merged(present, needed), indent=1) if both_objects else text
