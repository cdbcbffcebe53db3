"""A person in an agent's place: while its loop rests its pane is a shell in its worktree."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from roles.pane import TERMINAL, Pane
from roles.workbench.workbench import Workbench
from sessions.errors import ExpectedError
from sessions.processes.foreground import Foreground
from supervisor.lab.agent_folder import agent_folder
from supervisor.lab.programs import cli_path
from supervisor.model.states import AgentState, Wanted
from supervisor.store import agents

LOOK_EVERY_S = 0.3
LEFT_LIMIT = 50  # files
HINTS = """\
this pane is yours; the worktree is laid out on {parent}, edit {files}
  autoresearch-tui try --title '…' --expect '…'   hand over what is here, under {agent}'s name
  autoresearch-tui try --fresh                    lay the worktree out afresh, edits and all
  autoresearch-tui experiments · leaderboard · notes · plan
  exit, or `autoresearch-tui handback {agent}`    the agent goes on; edits that were not tried are kept aside"""


def lend_pane(bench: Workbench, pane: Pane, is_taken: Callable[[], bool]) -> None:
    """Give the pane to the person until it is handed back; its shell's end hands it back too."""
    agent, workspace = bench.workspace.agent, bench.workspace
    try:
        bench.take_place()
        doing = "the person works in its place"  # said last: from here on `try` may
        agents.set_agent_state(
            workspace.store, workspace.tag, agent, AgentState.PAUSED, time.time(), doing=doing
        )
        if not sys.stdin.isatty():
            while is_taken():
                time.sleep(LOOK_EVERY_S)
        else:
            _run_shell(bench, pane, is_taken)
        untried_edits = keep_aside(bench)
        if untried_edits is not None:
            pane.heading(f"edits that were not tried are in {untried_edits}")
    except ExpectedError as error:
        pane.heading(str(error))
    if is_taken():
        agents.want_agents(workspace.store, workspace.tag, (agent,), Wanted.RUNNING, time.time())
    pane.heading("handed back")


def keep_aside(bench: Workbench) -> Path | None:
    """Copy what differs in the worktree to where no reset reaches; None when nothing does."""
    worktree, checked_out = bench.workspace.worktree(), bench.workspace.checked_out_commit()
    changed = bench.workspace.changed(checked_out) if checked_out else ()
    files = [path for path in changed if (worktree / path).is_file() and not (worktree / path).is_symlink()]
    if not files:
        return None
    own_folder = agent_folder(bench.workspace.lab.state_dir, bench.workspace.agent)
    folder = own_folder / "left" / time.strftime("%Y%m%d-%H%M%S")
    for path in files[:LEFT_LIMIT]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(worktree / path, folder / path)
    return folder


def _run_shell(bench: Workbench, pane: Pane, is_taken: Callable[[], bool]) -> None:
    checked_out = bench.workspace.checked_out_commit() or ""
    files = ", ".join(bench.workspace.canvas(checked_out)[:3])
    incumbent = bench.agent(bench.snapshot()).incumbent_id
    pane.say(HINTS.format(agent=bench.workspace.agent, parent=incumbent, files=files))
    path = os.pathsep.join((str(cli_path().parent), os.environ.get("PATH", os.defpath)))
    shell = os.environ.get("SHELL") or "/bin/sh"
    with TERMINAL:  # whoever reads typed lines stands back
        child = Foreground([shell, "-i"], bench.workspace.worktree(), os.environ | {"PATH": path})
        try:
            while child.poll() is None and is_taken():
                time.sleep(LOOK_EVERY_S)
        finally:
            child.end()
