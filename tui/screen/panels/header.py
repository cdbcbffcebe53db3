"""The instrument panel: what the research has come to, in one line."""

from __future__ import annotations

from textual.reactive import reactive

from supervisor.model.promotion import ANSWERABLE
from supervisor.model.snapshot import Campaign, LabSnapshot
from supervisor.model.states import CampaignState, RunState
from supervisor.promotion.next_step import active_promotion
from supervisor.promotion.progress import progress_of
from tui.screen.widgets.lines import Line, OneLine, Tone, width_of
from tui.views.figures import age, change, clock, dollars, metric, percent
from tui.views.text import plain

_GAP: Line = (("   ", Tone.PLAIN),)
HeaderPart = tuple[int, Line]  # parts with the largest number go first when there is too little room


class Header(OneLine):
    """One line; parts of it go as the terminal gets narrow."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    now: reactive[float] = reactive(0.0)
    problem: reactive[str] = reactive("")

    def line(self, width: int) -> Line:
        """The parts that fit."""
        return header_line(self.snapshot, self.now, self.problem, width)


def header_line(snapshot: LabSnapshot | None, now: float, problem: str, width: int) -> Line:
    """The parts that fit in `width` cells, in their order."""
    parts: list[HeaderPart] = [(9, (("autoresearch", Tone.TITLE),))]
    if snapshot is None:
        parts.append((0, (("reading the lab…", Tone.MUTED),)))
    elif snapshot.campaign is None:
        parts.append((0, ((plain(str(snapshot.root)), Tone.PLAIN),)))
        parts.append((1, (("nothing has been launched here yet", Tone.MUTED),)))
    else:
        parts += _campaign_parts(snapshot, snapshot.campaign, now)
    if problem:
        parts.insert(1, (0, ((f"✕ {plain(problem)}", Tone.BAD),)))
    while len(parts) > 1 and width_of(_join(parts)) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    return _join(parts)


def _join(parts: list[HeaderPart]) -> Line:
    spans: Line = ()
    for _, part in parts:
        spans += (_GAP if spans else ()) + part
    return spans


def _campaign_parts(snapshot: LabSnapshot, campaign: Campaign, now: float) -> list[HeaderPart]:
    parts: list[HeaderPart] = [(1, ((plain(campaign.tag), Tone.STRONG),))]
    if campaign.state is not CampaignState.RUNNING:
        parts.append((2, ((str(campaign.state), Tone.WARN),)))
        if campaign.reason:
            parts.append((5, ((plain(campaign.reason), Tone.MUTED),)))
    elif not snapshot.supervisor_alive:
        parts.append((2, (("✕ no supervisor, nothing is measured", Tone.BAD),)))
    if snapshot.trouble:
        parts.append((2, ((f"✕ {plain(snapshot.trouble)}", Tone.BAD),)))
    if snapshot.drift:
        parts.append((2, ((f"! machine drifts {change(snapshot.drift.change)}", Tone.WARN),)))
    if snapshot.guarantees and snapshot.guarantees.line:
        parts.append((8, ((snapshot.guarantees.line, Tone.MUTED),)))
    parts += _promotion_parts(snapshot)
    parts.append((3, _metric_spans(snapshot, campaign)))
    limit = f"/{campaign.limits.experiments}" if campaign.limits.experiments else ""
    parts.append((4, ((f"{snapshot.counted}{limit} exp · {snapshot.kept} kept", Tone.PLAIN),)))
    if snapshot.experiments_per_hour:
        parts.append((7, ((f"{snapshot.experiments_per_hour:.1f}/h", Tone.MUTED),)))
    busy = sum(device.run_id is not None for device in snapshot.devices)
    parts.append((6, ((f"{busy}/{len(snapshot.devices)} devices", _busy_tone(snapshot, busy)),)))
    if cost := sum(agent.cost_usd for agent in snapshot.agents):
        parts.append((8, ((dollars(cost), Tone.MUTED),)))
    running_s = campaign.running_s
    if campaign.state is CampaignState.RUNNING:
        running_s += max(0.0, now - snapshot.taken_at)
    parts.append((5, ((age(running_s), Tone.MUTED),)))
    return parts


def _promotion_parts(snapshot: LabSnapshot) -> list[HeaderPart]:
    """What is measured to be promoted, and what waits for the person's answer."""
    waiting = next((p for p in snapshot.promotions if p.state in ANSWERABLE), None)
    if waiting is not None:
        return [(2, ((f"◐ promotion {waiting.number} waits for you · P", Tone.WARN),))]
    active = active_promotion(snapshot)
    if active is None:
        return []
    progress = progress_of(snapshot, active)
    far = (
        f" {int(progress.runs)}/{progress.wanted} runs, {clock(progress.seconds_left)}"
        if progress.wanted
        else ""
    )
    return [(4, ((f"promotion {active.number}{far}", Tone.ACCENT),))]


def _busy_tone(snapshot: LabSnapshot, busy: int) -> Tone:
    waiting = any(run.state is RunState.QUEUED for one in snapshot.experiments[-20:] for run in one.runs)
    return Tone.WARN if waiting and busy < len(snapshot.devices) else Tone.MUTED


def _metric_spans(snapshot: LabSnapshot, campaign: Campaign) -> Line:
    baseline, champion = snapshot.experiment(snapshot.baseline_id), snapshot.experiment(snapshot.champion_id)
    name = (f"{plain(campaign.metric)} ", Tone.MUTED)
    if baseline is None or baseline.metric is None:
        return (name, ("measuring the baseline", Tone.MUTED))
    if champion is None or champion.metric is None or champion.id == baseline.id:
        return (name, (metric(baseline.metric), Tone.PLAIN))
    change = champion.metric - baseline.metric
    size = percent(change / baseline.metric) if baseline.metric else ""
    if snapshot.noise is not None and snapshot.noise.sd > 0:
        size += f", {abs(change) / snapshot.noise.sd:.0f}σ"
    return (
        name,
        (f"{metric(baseline.metric)} → ", Tone.PLAIN),
        (metric(champion.metric), Tone.GOOD),
        (f" ({size})", Tone.MUTED),
    )
