"""A promotion as lines: how far it is, the evidence, the diff; and what beginning one costs. Pure."""

from __future__ import annotations

from supervisor.model.promotion import ACTIVE, Promotion, PromotionState
from supervisor.model.snapshot import LabSnapshot
from supervisor.promotion.paired_test import LOOKS
from supervisor.promotion.progress import progress_of, seconds_of_a_run
from tui.screen.panels.experiment import diff_lines
from tui.screen.widgets.lines import Line, Tone, bar, fact, line, prose
from tui.views.figures import clock
from tui.views.promotion import evidence_facts, progress_line
from tui.views.text import plain

_INDENT = 12
_BAR_CELLS = 24
_SAYINGS = {
    PromotionState.EVIDENCE: ("The evidence says yes.", Tone.GOOD),
    PromotionState.ACCEPTED: ("You said yes; it goes on {home}.", Tone.GOOD),
    PromotionState.WAITING: ("You said yes, and git left {home} as it is.", Tone.WARN),
    PromotionState.LANDED: ("It is on {home}.", Tone.GOOD),
    PromotionState.REFUSED: ("The evidence says no: nothing goes on {home}.", Tone.BAD),
    PromotionState.DECLINED: ("Declined; {home} stays as it is.", Tone.MUTED),
    PromotionState.CONFLICT: ("{home} and this change touch the same lines: nothing goes there.", Tone.BAD),
}


def promotion_lines(snapshot: LabSnapshot, promotion: Promotion, diff: str, width: int) -> list[Line]:
    """Everything that a person should see before the yes."""
    lines = [
        *prose(plain(promotion.title), width, Tone.STRONG),
        *_state_lines(snapshot, promotion, width),
        (),
    ]
    for name, text in evidence_facts(snapshot, promotion):
        tone = Tone.WARN if "⚑" in name else Tone.STRONG if name in ("reproduced", "holdout") else Tone.PLAIN
        lines += fact(name, text, width, tone, _INDENT)
    return [*lines, (), *diff_lines(diff)]


def price_of(snapshot: LabSnapshot) -> str:
    """What the first look of a promotion costs, in a sentence."""
    runs, devices = 2 * LOOKS[0], max(1, sum(not device.problem for device in snapshot.devices))
    seconds = clock(runs * seconds_of_a_run(snapshot) / devices)
    return f"At least {runs} training runs on fresh seeds, about {seconds} of your devices."


def _state_lines(snapshot: LabSnapshot, promotion: Promotion, width: int) -> list[Line]:
    if promotion.state in ACTIVE:
        progress = progress_of(snapshot, promotion)
        share = progress.runs / progress.wanted if progress.wanted else 0.0
        lines = [(*bar(share, _BAR_CELLS), (f"  {progress_line(progress)}", Tone.PLAIN))]
        if not snapshot.supervisor_alive:
            lines.append(
                line("No supervisor: nothing is measured. `autoresearch-tui launch` starts one.", Tone.BAD)
            )
        return lines
    text, tone = _SAYINGS.get(promotion.state, (str(promotion.state), Tone.PLAIN))
    home = plain(promotion.home.name)
    lines = [line(text.format(home=home), tone)]
    if promotion.state is PromotionState.WAITING:
        where = f"It waits as {promotion.branch}; this lands it where {home} is checked out:"
        lines += prose(plain(f"{promotion.reason}. {where}"), width)
        lines.append(line(f"  git merge --ff-only {plain(promotion.branch)}", Tone.KEY))
    return lines
