"""All that the commands about main ask of the lab. Times are taken here; every call may be made again after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sessions.git.repository import Repository
from supervisor.errors import LabError
from supervisor.lab.paths import Lab
from supervisor.model.promotion import ACTIVE, Promotion, PromotionState
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion import commands as asking
from supervisor.promotion.candidates import open_wish
from supervisor.promotion.land import merge_line
from supervisor.store.connection import Store
from tui.lab_access import lab as lab_calls

RESTART_AFTER_S = 10.0  # between two attempts to start a supervisor
LOOK_EVERY_S = 1.0


def ask(lab: Lab, names: Sequence[str]) -> Promotion:
    """Ask for the champion, or for what is named. Raises LabError, SessionError."""
    lab_calls.launched(lab)
    return asking.ask(lab, _store(lab), _repository(lab), names, time.time())


def ask_finalize(lab: Lab, names: Sequence[str], *, measured: bool) -> Promotion:
    """Ask for a branch of each keep. Raises LabError, SessionError."""
    lab_calls.launched(lab)
    return asking.ask_finalize(lab, _store(lab), _repository(lab), names, time.time(), measured=measured)


def wait_for_evidence(
    lab: Lab, number: int, look: Callable[[LabSnapshot, Promotion], None]
) -> tuple[LabSnapshot, Promotion]:
    """Wait until the supervisor has done its part, and see that there is one; `look` is called at each change."""
    started_at = 0.0
    while True:
        snapshot = lab_calls.launched(lab)
        promotion = asking.promotion_numbered(snapshot, number)
        if promotion.state not in ACTIVE:
            return snapshot, promotion
        look(snapshot, promotion)
        if time.monotonic() - started_at > RESTART_AFTER_S:
            started_at = time.monotonic()
            see_it_measured(lab, promotion)
        lab_calls.wait_for_change(lab, snapshot.version, LOOK_EVERY_S)


def see_it_measured(lab: Lab, promotion: Promotion) -> None:
    """Where it is still to be measured, see that there is a supervisor to do so. Raises LabError."""
    if promotion.state in ACTIVE and not lab_calls.launched(lab).supervisor_alive:
        _start_supervisor(lab)


def say_yes(lab: Lab, number: int) -> Promotion:
    """Accept and land. Raises LabError, SessionError."""
    return asking.say_yes(lab, _store(lab), _repository(lab), number, time.time())


def cancel(lab: Lab, names: Sequence[str]) -> Promotion:
    """Decline what is open of these names, or of any. Raises LabError."""
    promotion = open_wish(lab_calls.launched(lab), names)
    if promotion is None:
        raise LabError("no such promotion is open")
    return say_no(lab, promotion.number)


def say_no(lab: Lab, number: int) -> Promotion:
    """Decline. Raises LabError."""
    return asking.say_no(lab, _store(lab), number, time.time())


def roll_back(lab: Lab) -> Promotion:
    """Take the last promotion back. Raises LabError, SessionError."""
    campaign = lab_calls.launched(lab).campaign
    assert campaign is not None
    return asking.roll_back(lab, _store(lab), _repository(lab), campaign.tag, time.time())


def to_roll_back(lab: Lab) -> Promotion:
    """The promotion that `roll_back` would take back. Raises LabError."""
    lab_calls.launched(lab)
    return asking.to_roll_back(_store(lab), _repository(lab), time.time())


def diff_of(lab: Lab, promotion: Promotion) -> str:
    """What it changes on main, as a unified diff; "" while nothing is prepared."""
    if not promotion.base_commit or not promotion.commit:
        return ""
    return _repository(lab).diff(promotion.base_commit, promotion.commit)


def line_to_merge(lab: Lab, promotion: Promotion) -> str:
    """The line that lands a waiting commit."""
    return merge_line(_repository(lab), promotion.branch, Path.cwd())


def what_came(lab: Lab, promotion: Promotion) -> str:
    """Where a yes has led to, in words for a person; one line, or two."""
    match promotion.state:
        case PromotionState.LANDED if promotion.reverts is not None:
            return f"promotion {promotion.reverts} is taken back, by {promotion.landed_commit[:10]} on main"
        case PromotionState.LANDED:
            return f"on main as {promotion.landed_commit[:10]}"
        case PromotionState.WAITING:
            line = line_to_merge(lab, promotion)
            waits = f"the commit waits as {promotion.branch}; land it with: {line}"
            return f"git left main as it is: {promotion.reason}\n{waits}"
        case state if state in ACTIVE:
            return f"{promotion.reason}: it is measured again"
        case _:
            return f"main stays as it is: {promotion.reason or promotion.state.value}"


def _start_supervisor(lab: Lab) -> None:
    from sessions.tmux.terminal import TmuxServer, socket_name_for
    from supervisor.campaign.launch import start_supervisor

    start_supervisor(lab, TmuxServer(socket_name_for(lab.root)))


def _store(lab: Lab) -> Store:
    return Store(lab.db)


def _repository(lab: Lab) -> Repository:
    return Repository(lab.root)
