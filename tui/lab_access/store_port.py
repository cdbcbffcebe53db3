"""The screen's port to a real lab: the store, the notes folder, and tmux."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ParamSpec, TypeVar

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from sessions.errors import SessionError
from sessions.tmux.terminal import TmuxServer
from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Role, Wanted
from supervisor.promotion.commands import promotion_numbered
from tui.lab_access import lab as lab_calls
from tui.lab_access import promotions as promotion_calls
from tui.lab_access.port import LabRequestError

POLL_S = 0.1  # a read of one row
LOG_TAIL_BYTES = 64 * 1024

P = ParamSpec("P")
T = TypeVar("T")


def _asked(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except (LabError, SessionError, OSError) as error:
        raise LabRequestError(str(error)) from error


class StorePort:
    """A `LabPort` on the lab of this machine."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._server = TmuxServer(lab_calls.tmux_socket(lab))
        self._version = -1
        self._notes_changed = threading.Event()
        self._watch_notes(lab.notes_dir)

    @property
    def attach_takes_terminal(self) -> bool:
        """Within the lab's own tmux server attaching is a switch; elsewhere it needs this terminal."""
        return self._server.socket_name not in os.environ.get("TMUX", "")

    def snapshot(self) -> LabSnapshot:
        """The lab as it is now."""
        return _asked(lab_calls.read_lab, self._lab)

    def wait_for_change(self, timeout_s: float) -> bool:
        """Block until a row or a note changed since the last call (True) or the time is over (False)."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            version = _asked(lab_calls.version, self._lab)
            noted = self._notes_changed.is_set()
            if version != self._version or noted:
                self._version = version
                self._notes_changed.clear()
                return True
            time.sleep(POLL_S)
        return False

    def diff(self, experiment_id: str) -> str:
        """The experiment's change as a unified diff, "" while there is none."""
        experiment = self.snapshot().experiment(experiment_id)
        if experiment is None or experiment.commit in (None, experiment.parent_commit):
            return ""
        return _asked(lab_calls.read_diff, self._lab, experiment)

    def log_tail(self, run_id: str) -> str:
        """The last part of the run's run.log, "" before there is one."""
        try:
            _, path = lab_calls.log_of(self._lab, self.snapshot(), run_id)
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except (LabError, OSError):
            return ""

    def note_text(self, note_id: str) -> str:
        """The note's Markdown, without its front matter."""
        return _asked(lab_calls.read_note_text, self._lab, note_id)

    def capture(self, agent: str) -> str:
        """The agent's visible pane with its SGR codes, "" when it has no pane."""
        try:
            return self._server.capture(agent)
        except SessionError:
            return ""

    def attach(self, agent: str) -> None:
        """Show the agent's pane; at once after a switch, else when the person is back."""
        if self.attach_takes_terminal:
            _asked(self._server.attach, agent)
        else:
            _asked(self._server.show_agent, agent)

    def send(self, agents: Sequence[str], text: str) -> None:
        """Leave a message that the agents read before their next step."""
        names = tuple(agents) or tuple(agent.name for agent in self.snapshot().agents)
        _asked(lab_calls.send_message, self._lab, names, text)

    def pause(self, agents: Sequence[str]) -> None:
        """Ask for a pause after the current step."""
        _asked(lab_calls.want, self._lab, agents, Wanted.PAUSED)

    def resume(self, agents: Sequence[str]) -> None:
        """Ask paused or stopped agents to go on."""
        _asked(lab_calls.want, self._lab, agents, Wanted.RUNNING)

    def stop(self, agents: Sequence[str]) -> None:
        """Ask the agents to end; everything they made stays."""
        _asked(lab_calls.want, self._lab, agents, Wanted.STOPPED)

    def restart(self, agents: Sequence[str]) -> None:
        """End the agents' processes and start them afresh."""
        _asked(lab_calls.restart, self._lab, agents)

    def add_junior(self) -> None:
        """Ask for one more junior engineer, of the configured backend."""
        _asked(lab_calls.add_agent, self._lab, Role.JUNIOR)

    def add_hypothesis(self, text: str) -> None:
        """Put the person's hypothesis at the head of the plan."""
        _asked(lab_calls.add_hypothesis, self._lab, text, "", "", None)

    def approve(self, hypothesis_id: str) -> None:
        """Open a proposed hypothesis for the juniors."""
        _asked(lab_calls.approve_hypothesis, self._lab, hypothesis_id)

    def promote(self, names: Sequence[str]) -> int:
        """Have the champion, or what is named, measured against main; returns the promotion's number."""
        promotion = _asked(promotion_calls.ask, self._lab, names)
        _asked(promotion_calls.see_it_measured, self._lab, promotion)
        return promotion.number

    def promotion_diff(self, number: int) -> str:
        """What the promotion changes on main as a unified diff, "" while nothing is prepared."""
        promotion = _asked(promotion_numbered, self.snapshot(), number)
        return _asked(promotion_calls.diff_of, self._lab, promotion)

    def land(self, number: int) -> str:
        """The person's yes: put it on main; returns what came of it, in words."""
        promotion = _asked(promotion_calls.say_yes, self._lab, number)
        return _asked(promotion_calls.what_came, self._lab, promotion)

    def decline(self, number: int) -> None:
        """End a promotion, also one that is being measured; main stays as it is."""
        _asked(promotion_calls.say_no, self._lab, number)

    def last_promotion(self) -> str:
        """What `roll_back` would take off main, in words."""
        promotion = _asked(promotion_calls.to_roll_back, self._lab)
        return f"promotion {promotion.number}, {promotion.title}"

    def roll_back(self) -> str:
        """Take the last promotion off main; returns what came of it, in words."""
        promotion = _asked(promotion_calls.roll_back, self._lab)
        return _asked(promotion_calls.what_came, self._lab, promotion)

    def _watch_notes(self, folder: Path) -> None:
        changed = self._notes_changed

        class Changed(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type in ("created", "modified", "moved", "deleted"):
                    changed.set()

        observer = Observer()
        observer.daemon = True
        # Without a watch (no inotify left, no folder yet) notes still come with the next change of a row.
        with suppress(OSError):
            observer.schedule(Changed(), str(folder))
            observer.start()
