"""A lab whose campaign is over and that nobody watches leaves no tmux server behind; what its panes said stays."""

from __future__ import annotations

import time

from sessions.errors import SessionError
from sessions.files import write_atomically
from sessions.locks import FOR_EVER, held
from sessions.tmux.terminal import TmuxServer, socket_name_for
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import CampaignState
from supervisor.promotion.next_step import active_promotion
from supervisor.snapshot_reader import read_snapshot
from supervisor.store.connection import Store

OTHERS_END_S = 5.0  # agents end within a second of the campaign, unless they think
KEPT_LINES = 50_000  # of a pane: its whole history
_POLL_S = 0.1
_TMUX_WORD = "Pane is dead ("  # its last line of a pane whose program has ended


def is_over(snapshot: LabSnapshot) -> bool:
    """Whether the lab needs no supervisor any more: the campaign has ended, and no promotion is to be measured."""
    return research_is_over(snapshot) and active_promotion(snapshot) is None


def research_is_over(snapshot: LabSnapshot) -> bool:
    """Whether the campaign has ended."""
    campaign = snapshot.campaign
    return campaign is None or campaign.state in (CampaignState.STOPPED, CampaignState.FINISHED)


def leave_server(lab: Lab, window: str = "", patience_s: float = OTHERS_END_S) -> None:
    """End the lab's tmux server if the campaign is over and nothing but `window`, the caller's own, is in use there.

    An agent that still thinks is the last one to leave then.
    """
    server, deadline = TmuxServer(socket_name_for(lab.root)), time.monotonic() + patience_s
    while _others_live(server, window) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    # A launch takes the same lock: it finds the server whole, or makes one of its own.
    with held(lab.server_lock, FOR_EVER):
        if server.alive() and not _others_live(server, window) and not server.is_watched() and _over_now(lab):
            save_panes(lab, server)
            server.stop()


def save_panes(lab: Lab, server: TmuxServer) -> None:
    """Keep what every pane says, to be read without the server."""
    lab.panes_dir.mkdir(mode=0o700, exist_ok=True)
    for name in server.windows():
        try:
            text = server.capture(name, history=KEPT_LINES).rstrip()
            said = text.rpartition("\n")[0].rstrip() if _TMUX_WORD in text.rpartition("\n")[2] else text
            write_atomically(lab.panes_dir / f"{name}.txt", f"{said}\n")
        except (SessionError, OSError):
            continue  # gone in between, or a full disk: nothing to wait for


def _others_live(server: TmuxServer, window: str) -> bool:
    return any(not pane.dead for name, pane in server.windows().items() if name != window)


def _over_now(lab: Lab) -> bool:
    store = Store(lab.db)
    try:
        return is_over(read_snapshot(lab, store, time.time()))
    finally:
        store.close()
