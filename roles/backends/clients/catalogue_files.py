"""Which agents there are: ours in `catalogue/`, and the person's own files, which may be `like` one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from roles.backends.clients.spec import AgentFile, Format
from supervisor.errors import ConfigError
from supervisor.lab.agent_folder import AGENTS
from supervisor.lab.config_errors import parse_toml, validated
from supervisor.lab.paths import Lab

CATALOGUE = Path(__file__).parent / "catalogue"


def user_folder(lab: Lab) -> Path:
    """Where the person's own agents lie."""
    folder = lab.config.agents.folder
    return lab.root / Path(folder).expanduser() if folder else lab.state_dir / AGENTS


def agent_files(folder: Path | None) -> dict[str, Path]:
    """The file of every agent by its name: ours, and those in `folder`, which win."""
    files = {path.stem: path for path in sorted(CATALOGUE.glob("*.toml"))}
    if folder is not None:
        files |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return files


def read_agent(path: Path) -> AgentFile:
    """One agent. Raises ConfigError, in one line."""
    text, data = parse_toml(path)
    data = _laid_over(data, path, ())
    data.setdefault("name", path.stem)
    if data["name"] != path.stem:
        raise ConfigError(f'{path.name}: [name]: must be "{path.stem}", as the file is')
    spec = validated(AgentFile, path, text, data)
    if spec.format is not Format.TEXT and not spec.events.done:
        raise ConfigError(f"{path.name}: [events] done is missing: how a step ended is read from an event")
    return spec


def _laid_over(data: dict[str, Any], path: Path, seen: tuple[str, ...]) -> dict[str, Any]:
    like = data.pop("like", None)
    if like is None:
        return data
    base = CATALOGUE / f"{like}.toml"
    if not isinstance(like, str) or not base.is_file() or base == path or like in seen:
        known = ", ".join(sorted(file.stem for file in CATALOGUE.glob("*.toml")))
        raise ConfigError(f"{path.name}: [like]: there is no {like!r}; there are {known}")
    below = _laid_over(parse_toml(base)[1], base, (*seen, like))
    below.pop("name", None)
    return merged(below, data)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """What `below` says, with `above` over it, table by table."""
    both = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = merged(below[key], above[key])
    return both
