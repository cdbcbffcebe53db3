"""What the keys that ask something of the lab mean where the person is: a request, or the screen that leads to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from supervisor.model.states import Role, Verdict
from tui.screen.actions.dialogs import AskLine, Confirm, Verb
from tui.screen.actions.requests import AttachRequested, Request
from tui.screen.context import Context
from tui.views.text import plain


def attach(here: Context) -> Verb:
    """The agent's own pane."""
    return AttachRequested(here.expect_agent().name)


def pause(here: Context) -> Verb:
    """A pause."""
    name = here.expect_agent().name
    return Request(lambda lab: lab.pause((name,)), f"{name} will pause after the current step")


def resume(here: Context) -> Verb:
    """To go on."""
    name = here.expect_agent().name
    return Request(lambda lab: lab.resume((name,)), f"{name} will go on")


def stop(here: Context) -> Verb:
    """An end."""
    name = here.expect_agent().name
    stays = (
        "Its branch, commits, notes and results stay. A training run under way goes on"
        " to its end and is counted. r starts the agent again."
    )
    request = Request(lambda lab: lab.stop((name,)), f"{name} will stop · r starts it again")
    return Confirm(f"Stop {name}?", stays, request)


def restart(here: Context) -> Verb:
    """A new process."""
    name = here.expect_agent().name
    stays = "Its process ends and a new one takes over where the lab stands. An edit under way is lost."
    request = Request(lambda lab: lab.restart((name,)), f"{name} will start afresh")
    return Confirm(f"Start {name} afresh?", stays, request)


def message(here: Context) -> Verb:
    """A line for the agent."""
    return _line_to((here.expect_agent().name,))


def message_all(here: Context) -> Verb:
    """A line for all juniors."""
    agents = here.snapshot.agents if here.snapshot else ()
    return _line_to([agent.name for agent in agents if agent.role is Role.JUNIOR])


def _line_to(names: Sequence[str]) -> Verb:
    readers = ", ".join(names)

    def request_of(line: str) -> Request:
        return Request(lambda lab: lab.send(names, line), f"left for {readers} · read before the next step")

    hint = "Read before the next step; nothing that runs is interrupted."
    return AskLine(f"Message to {readers}", hint, request_of)


def new_junior(_: Context) -> Verb:
    """One more junior engineer."""
    stays = "It gets a branch and a worktree of its own, and shares the devices. x stops it again."
    request = Request(lambda lab: lab.add_agent(Role.JUNIOR), "a junior engineer is on the way")
    return Confirm("Add a junior engineer?", stays, request)


def hypothesis(_: Context) -> Verb:
    """A line for the plan."""

    def request_of(line: str) -> Request:
        return Request(lambda lab: lab.add_hypothesis(line), "added at the head of the plan")

    hint = "What to change, and why it should help. It goes to the head of the plan."
    return AskLine("A hypothesis of yours", hint, request_of)


def approve(here: Context) -> Verb:
    """The person's yes to a proposal."""
    assert here.hypothesis is not None
    proposal = here.hypothesis.id
    return Request(lambda lab: lab.approve(proposal), f"{proposal} is open")


def promote(here: Context) -> Verb:
    """The promotion that is open, or the question whether to begin one. Raises LabError."""
    from supervisor.promotion.candidates import open_request, promotion_of
    from tui.screen.panels.promotion import PromotionScreen
    from tui.screen.panels.promotion_lines import price_of

    assert here.snapshot is not None
    names = _promotable(here)
    if open_promotion := open_request(here.snapshot, names):
        return PromotionScreen(open_promotion.number)
    assert here.snapshot.campaign is not None
    home = plain(here.snapshot.campaign.base.name)
    title = plain(promotion_of(here.snapshot, names).title)
    stays = f"{price_of(here.snapshot)} {home} changes only when you say yes to what they show."
    request = Request(lambda lab: lab.promotions.promote(names).number, then=PromotionScreen)
    return Confirm(f"Measure “{title}” against {home}?", stays, request)


def _promotable(here: Context) -> tuple[str, ...]:
    """The experiment under the cursor, or the agent's branch when it has kept something; () is the champion."""
    if here.agent is not None and here.snapshot is not None:
        best = here.snapshot.experiment(here.agent.incumbent_id)
        return (here.agent.name,) if best is not None and best.verdict is Verdict.KEEP else ()
    return (here.row.id,) if here.row is not None else ()


def roll_back(_: Context) -> Verb:
    """What that would take back; the person is asked then."""
    from tui.views.promotion import outcome

    def question(promotion: str) -> Confirm:
        stays = (
            "One commit reverts it; what you committed since stays. Nothing is measured again, and "
            "`P` brings it back."
        )
        request = Request(lambda lab: outcome(lab.promotions.roll_back(), lab.promotions))
        return Confirm(f"Take {plain(promotion)}?", stays, request)

    return Request(
        lambda lab: "promotion {0.number}, {0.title} off {0.home.name}".format(lab.promotions.last()),
        then=question,
    )


VERBS: dict[str, Callable[[Context], Verb]] = {
    verb.__name__.replace("_", "-"): verb
    for verb in (
        attach, pause, resume, stop, restart, message, message_all, new_junior,
        hypothesis, approve, promote, roll_back,
    )
}  # fmt: skip
