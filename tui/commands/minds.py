"""Before a launch: whether what is to think for the agents can do a step here at all."""

from __future__ import annotations

from roles.backend import Canvas
from roles.backends.clients.catalogue_files import user_folder
from roles.backends.health import why_unable
from roles.backends.registry import expect_backends
from supervisor.client.lab_client import LabClient
from supervisor.errors import LabError
from supervisor.lab.config import AgentSpec
from supervisor.model.states import Role
from tui.views.printing import say


def expect_minds(
    client: LabClient,
    tag: str | None,
    base: str | None,
    chief: str | None,
    junior: str | None,
    *,
    alone: bool,
) -> None:
    """Raises LabError when a backend is unknown, or can't work and nobody is there to mend it (`alone`)."""
    minds = _minds(client, tag, chief, junior)
    expect_backends(*(spec.backend for _, spec in minds), folder=user_folder(client.lab))
    canvas = _canvas(client, base or "HEAD")
    unable = [(name, why) for name, spec in minds if (why := why_unable(spec, client.lab, canvas))]
    # A chief, or some of the juniors, may be without work: the others go on.
    juniors = [name for name, _ in minds if name != Role.CHIEF]
    nothing_to_step = why_unable(AgentSpec(), client.lab, canvas)
    idle = [name for name, why in unable if why == nothing_to_step and name != Role.CHIEF]
    for name, why in unable:
        text = f"{name} can't work: {why}"
        if why != nothing_to_step or (alone and idle == juniors and name in idle):
            raise LabError(text)
        if name in idle:
            say(f"note: {text}")


def _minds(
    client: LabClient, tag: str | None, chief: str | None, junior: str | None
) -> list[tuple[str, AgentSpec]]:
    """What thinks for whom: for the agents of the run that goes on, else for those that are asked for."""
    config = client.lab.config.agents
    snapshot = client.snapshot() if client.lab.db.exists() else None
    if snapshot and snapshot.campaign and tag in (None, snapshot.campaign.tag) and snapshot.agents:
        return [
            (agent.name, config.spec_like(agent.backend, chief=agent.role is Role.CHIEF))
            for agent in snapshot.agents
        ]
    chiefs = config.spec_like(AgentSpec.of_words(chief).backend, chief=True) if chief else config.chief
    named = [AgentSpec.of_words(words).backend for words in junior.split(",")] if junior else []
    juniors = [config.spec_like(backend, chief=False) for backend in named] or list(config.junior)
    return [
        (Role.CHIEF.value, chiefs),
        *((f"junior-{number}", spec) for number, spec in enumerate(juniors, 1)),
    ]


def _canvas(client: LabClient, base: str) -> tuple[Canvas, ...]:
    """The editable files as they are at the base; a wrong one is the launch's to say."""
    repository = client.repository
    if not repository.exists(base):
        return ()
    paths = client.lab.config.lab.canvas(repository.list_files(base))
    return tuple(Canvas(*file) for file in repository.read_files(base, paths).items())
