"""One experiment: its verdict and why, what was expected and learned, its runs, its change."""

from __future__ import annotations

from collections.abc import Sequence

from textual.reactive import reactive

from supervisor.analysis.verdict_basis import Part, held_s, part_of
from supervisor.model.experiment import Experiment, Run
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import RunState, Verdict
from tui.screen.actions.requests import AskedText
from tui.screen.panels.verdicts import verdict_span
from tui.screen.widgets.lines import Line, Span, Tone, fact, line, prose
from tui.views.experiment import confidence_in_words, experiment_facts, more_commands
from tui.views.figures import NONE, change, clock, gigabytes, metric
from tui.views.text import plain, plain_lines

_HEAD_MARKS = ("diff --git", "index ", "--- ", "+++ ", "new file", "deleted file", "similarity", "rename ")
_ENDING_TONES = {"measured": Tone.MUTED}
_TOLD_ABOVE = frozenset({"verdict", "gain"})
_PART_MARKS = {Part.DECIDED: "▸", Part.ESTIMATES: "○", Part.CHECKS: "◌", Part.NONE: " "}
_RUNS_HEAD: Line = (("Runs      ", Tone.MUTED), ("▸ decided the verdict   ○ estimates it", Tone.FAINT))


class ExperimentView(AskedText):
    """The selected experiment, with its diff."""

    snapshot: reactive[LabSnapshot | None] = reactive(None)
    experiment_id: reactive[str | None] = reactive(None)

    def watch_snapshot(self) -> None:
        """Its runs go on; its diff is there once it is committed."""
        self.rebuild()

    def watch_experiment_id(self) -> None:
        """Another one, from its beginning."""
        self.rebuild()
        self.scroll_to(y=0, animate=False)

    def rebuild(self) -> None:
        """Draw anew, and read the diff when it is another one than the last."""
        experiment = self._experiment
        has_diff = experiment is not None and experiment.commit not in (None, experiment.parent_commit)
        changed = experiment.id if experiment is not None and has_diff else None
        self.want(changed, lambda lab: lab.diff(str(changed)))
        super().rebuild()

    @property
    def _experiment(self) -> Experiment | None:
        return self.snapshot.experiment(self.experiment_id) if self.snapshot else None

    def build(self, width: int) -> Sequence[Line]:
        """The lines."""
        experiment = self._experiment
        if self.snapshot is None:
            return []
        if experiment is None:
            return [
                *prose("One experiment in full: its verdict and why, its runs and its change.", width),
                (),
                (
                    ("1", Tone.KEY),
                    (" shows the leaderboard; ", Tone.PLAIN),
                    ("d", Tone.KEY),
                    (" there comes back here.", Tone.PLAIN),
                ),
            ]
        return [*experiment_lines(experiment, self.snapshot, width), *diff_lines(self.text)]


def experiment_lines(one: Experiment, snapshot: LabSnapshot, width: int) -> list[Line]:
    """Everything but the diff."""
    origin = [plain(one.agent) or "the lab", one.branch, (one.commit or "")[:7]]
    if one.parent_id:
        origin.append(f"on {one.parent_id}")
    if one.hypothesis_id:
        origin.append(one.hypothesis_id)
    lines: list[Line] = [
        ((f"{one.id}  ", Tone.STRONG), verdict_span(one), ("  " + plain(one.title), Tone.STRONG)),
        line(" · ".join(plain(part) for part in origin if part), Tone.MUTED),
    ]
    if result := _result_line(one, snapshot):
        lines.append(result)
    for name, text in experiment_facts(snapshot, one):
        if name not in _TOLD_ABOVE:
            lines += fact(name.capitalize(), text, width, Tone.WARN if "⚑" in name else Tone.PLAIN)
    if one.runs:
        lines += [(), _RUNS_HEAD, *(_run_line(one, run) for run in one.runs)]
    lines += [(), *(line(f"          {command}", Tone.FAINT) for command in more_commands(one)), ()]
    return lines


def diff_lines(diff: str) -> list[Line]:
    """A unified diff, toned."""
    return [line(text, _diff_tone(text)) for text in plain_lines(diff)]


def _diff_tone(text: str) -> Tone:
    if text.startswith(_HEAD_MARKS):
        return Tone.MUTED
    match text[:1]:
        case "+":
            return Tone.GOOD
        case "-":
            return Tone.BAD
        case "@":
            return Tone.ACCENT
        case _:
            return Tone.PLAIN


def _result_line(one: Experiment, snapshot: LabSnapshot) -> Line:
    if one.metric is None or snapshot.campaign is None:
        return ()
    spans: list[Span] = [
        (f"{plain(snapshot.campaign.metric)} ", Tone.MUTED),
        (metric(one.metric), Tone.STRONG),
    ]
    if one.gain is not None:
        sign = snapshot.campaign.direction.sign
        tone = Tone.GOOD if one.verdict is Verdict.KEEP else Tone.PLAIN
        spans.append((f"   {change(sign * one.gain)}", tone))
        if one.gain_low is not None and one.gain_high is not None:
            low, high = sorted((sign * one.gain_low, sign * one.gain_high))
            spans.append((f" ({change(low)} … {change(high)})", Tone.MUTED))
    if one.confidence is not None:
        spans.append((f"   {confidence_in_words(one.confidence)} sure that it is better", Tone.MUTED))
    return tuple(spans)


def _run_line(one: Experiment, run: Run) -> Line:
    ending = str(run.ending or run.state)
    tone = Tone.MUTED if run.state is not RunState.FINISHED else _ENDING_TONES.get(ending, Tone.WARN)
    seconds = held_s(run)
    facts = [clock(seconds) if seconds else "", f"{run.cpu_per_wall:.2f} cpu" if run.cpu_per_wall else ""]
    facts += [f"seed {run.seed}", f"{run.steps} steps" if run.steps else ""]
    facts += [f"{gigabytes(run.peak_memory_mb)} GB" if run.peak_memory_mb else ""]
    facts += [f"attempt {run.attempt}" if run.attempt > 1 else ""]
    return (
        (f"{_PART_MARKS[part_of(one, run)]} {run.id:<8} {run.kind:<12} ", Tone.PLAIN),
        (f"{metric(run.metric):>7} ", Tone.STRONG),
        (f"{ending:<10}", tone),
        (f"{run.device or NONE:<7}", Tone.MUTED),
        ("  ".join(fact for fact in facts if fact), Tone.MUTED),
        (f"  {plain(run.reason)}" if run.reason else "", Tone.WARN),
    )
