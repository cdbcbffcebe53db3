"""What a lab can do without: benches, logs of what did not matter, servers of labs that are over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sessions.errors import SessionError
from sessions.git.repository import Repository
from sessions.git.worktrees import Worktrees
from sessions.tmux.idle_servers import IdleServer, end_idle_server, idle_servers
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.analysis.lineage import lineage_of
from supervisor.campaign.leave import is_over, save_panes
from supervisor.errors import LabError
from supervisor.lab.paths import Lab, find_lab
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Verdict
from supervisor.runs.spec import run_directory
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store

# Their logs are evidence; so are those of a promotion, which are no experiments of the campaign.
_MATTERS = frozenset({Verdict.BASELINE, Verdict.KEEP})


class Kind(StrEnum):
    """What is freed."""

    BENCH = "bench"
    LOG = "log"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Reclaimable:
    """One thing that may go."""

    kind: Kind
    path: Path
    size_bytes: int  # on the disk; of a server, in memory
    why: str
    server: IdleServer | None = None


def reclaimable(lab: Lab) -> tuple[Reclaimable, ...]:
    """All that `reclaim` would free. What a campaign under way may still use is not among it."""
    servers = [
        Reclaimable(Kind.SERVER, idle.socket, idle.memory_bytes, _why_idle(idle), idle)
        for idle in idle_servers()
    ]
    snapshot = _snapshot(lab)
    if snapshot is None or not is_over(snapshot):
        return tuple(servers)
    benches = [
        Reclaimable(Kind.BENCH, path, _size(path), "made anew when a run needs it")
        for path in Worktrees(Repository(lab.root), lab.worktree_lock).list()
        if path.is_relative_to(lab.state_dir)
    ]
    logs = [
        Reclaimable(Kind.LOG, file, _size(file), f"{experiment.id} {experiment.verdict}")
        for experiment in _without_consequence(snapshot)
        for run in experiment.runs
        if (file := run_directory(lab, run) / "run.log").is_file()
    ]
    return (*benches, *logs, *servers)


def reclaim(lab: Lab, things: Iterable[Reclaimable]) -> tuple[tuple[Reclaimable, ...], tuple[str, ...]]:
    """Free them; returns what went, and a line for each that did not."""
    freed: list[Reclaimable] = []
    problems: list[str] = []
    for thing in things:
        try:
            _free(lab, thing)
            freed.append(thing)
        except (SessionError, LabError, OSError) as error:
            problems.append(f"{thing.path} stays: {error}")
    return tuple(freed), tuple(problems)


def _free(lab: Lab, thing: Reclaimable) -> None:
    match thing.kind:
        case Kind.BENCH:
            Worktrees(Repository(lab.root), lab.worktree_lock).remove(thing.path)
        case Kind.LOG:
            thing.path.unlink(missing_ok=True)
        case Kind.SERVER:
            assert thing.server is not None
            _save_its_panes(thing.server)
            end_idle_server(thing.server)


def _save_its_panes(idle: IdleServer) -> None:
    """What its lab's panes said is kept there, where the lab is still there."""
    if idle.root is None or socket_name_for(idle.root) != idle.socket.name:
        return
    try:
        its_lab = find_lab(idle.root)
        if its_lab.state_dir.is_dir():
            save_panes(its_lab, TmuxServer(idle.socket.name))
    except (LabError, SessionError, OSError):
        return


def _without_consequence(snapshot: LabSnapshot) -> list[Experiment]:
    """Decided experiments that nothing stands on: neither kept, nor promoted, nor the ancestor of what was."""
    matters = {e.id for e in snapshot.experiments if e.verdict in _MATTERS}
    matters |= {piece.source_id or "" for p in snapshot.promotions for piece in p.pieces}
    tips = {*matters, *(agent.incumbent_id or "" for agent in snapshot.agents), snapshot.champion_id or ""}
    matters |= {e.id for tip in tips for e in lineage_of(snapshot, tip)}
    return [e for e in snapshot.experiments if e.is_decided and e.id not in matters]


def _why_idle(idle: IdleServer) -> str:
    return f"nothing runs in it ({idle.root})" if idle.root else "its server is gone"


def _snapshot(lab: Lab) -> LabSnapshot | None:
    return read_snapshot(lab, Store(lab.db), time.time()) if lab.db.exists() else None


def _size(path: Path) -> int:
    """Bytes that it takes on the disk, all that lies in it included."""
    files = (
        [path]
        if not path.is_dir()
        else [Path(top, name) for top, _, names in os.walk(path) for name in names]
    )
    return sum(_blocks(file) for file in files)


def _blocks(file: Path) -> int:
    try:
        return file.lstat().st_blocks * 512
    except OSError:
        return 0
