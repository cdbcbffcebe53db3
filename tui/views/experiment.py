"""An experiment, its hypothesis and its holdout gain in words: the same facts for command line and screen."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from supervisor.analysis.overfitting import Lineage, LineagePoint
from supervisor.analysis.sequential_test import DecisionRule
from supervisor.analysis.verdict_basis import (
    VerdictBasis,
    is_unverified,
    margin,
    part_of,
    runs_behind,
    verdict_basis_of,
)
from supervisor.model.experiment import Experiment, Flag, Run, Spending
from supervisor.model.snapshot import Hypothesis, LabSnapshot
from supervisor.model.states import Verdict
from tui.views.figures import MINUS, age, change, dollars, metric, thousands
from tui.views.secondary import secondary_in_words
from tui.views.text import plain

Fact = tuple[str, str]  # a name of at most nine letters, and what it says; raw text of agents among it

_RULES = {
    DecisionRule.CLEARLY_BETTER: "clearly better: equal code would hardly ever look this good, "
    "counted over all its looks",
    DecisionRule.NO_PROMISE: "no promise: too far from a gain for another seed to be worth a device",
    DecisionRule.RUNS_SPENT: "runs spent: every seed it may have was run, and no gain is clear",
    DecisionRule.IN_BETWEEN: "in between: another seed has to say",
    DecisionRule.INCUMBENT_UNKNOWN: "the incumbent has to be known better first",
}
_FAILURES = {
    Verdict.CRASH: "a run that ends without a metric decides at once",
    Verdict.TIMEOUT: "a run that exceeds its wall clock decides at once",
    Verdict.REJECTED: "the guard, the referee or a gate refused it; no statistics were asked",
    Verdict.BASELINE: "the code as it was at launch: every gain is counted from here",
    Verdict.THOUGHT: "reasoned, not run",
}

_INDEPENDENT = {True: "of the others of its plan", False: "no: it hangs on others of its plan", None: ""}


def experiment_facts(snapshot: LabSnapshot, one: Experiment) -> Iterator[Fact]:
    """Everything about the experiment but its runs; facts that there are none of are left out."""
    basis = verdict_basis_of(snapshot, one)
    facts = (
        ("verdict", (one.verdict.value if one.verdict else one.state.value)),
        ("reason", one.reason),
        ("rule", rule_in_words(one, basis)),
        ("gain", _gain(one)),
        ("against", _against(basis)),
        ("metric", metric_with_margin(snapshot, one)),
        ("beside", secondary_in_words(snapshot, one)),
        ("decided", _name_runs(basis.decided_by, "by")),
        ("estimated", _name_runs(basis.estimated_by, "by")),
        ("drift", drift_in_words(snapshot) if one.id == snapshot.baseline_id else ""),
        ("cost", _cost(one, basis)),
        ("change", f"+{one.lines_added} {MINUS}{one.lines_removed} lines" if one.parent_id and one.commit else ""),
        *(("⚑ flag", flag_in_words(flag)) for flag in one.flags),
        ("⚑", unverified(snapshot, one)),
        ("expected", one.expectation),
        ("learned", one.reflection),
    )  # fmt: skip
    yield from (fact for fact in facts if fact[1])


def rule_in_words(one: Experiment, basis: VerdictBasis) -> str:
    """Which rule decided."""
    if basis.rule is not None:
        return _RULES[basis.rule]
    return _FAILURES.get(one.verdict, "") if one.verdict is not None else ""


def metric_with_margin(snapshot: LabSnapshot, one: Experiment) -> str:
    """The experiment's figure, how sure it is, and the runs behind it."""
    if one.metric is None:
        return ""
    runs = runs_behind(one)
    reach = margin(snapshot.noise, runs) if _is_own(snapshot, one) else None
    spread = f" ± {metric(reach)}" if reach is not None else ""
    unit = f" {plain(snapshot.unit)}" if snapshot.unit else ""
    return f"{metric(one.metric)}{spread}{unit} over {runs} run{'s' * (runs != 1)}"


def flag_in_words(flag: Flag) -> str:
    """A flag with its place and its line."""
    place = f"{flag.path}:{flag.line}" if flag.path and flag.line is not None else flag.path
    words = ": ".join(part for part in (flag.rule, place, flag.detail) if part)
    return f"{words} › {flag.excerpt.strip()}" if flag.excerpt.strip() else words


def unverified(snapshot: LabSnapshot, one: Experiment) -> str:
    """That a flagged keep is not verified yet, or ""."""
    if not is_unverified(snapshot, one):
        return ""
    claim = ": no champion before its verification runs say so" if one.verdict is Verdict.KEEP else ""
    return f"flagged and not yet verified{claim}"


def drift_in_words(snapshot: LabSnapshot) -> str:
    """By how much the machine has changed, since when, and what to do; "" when it has not."""
    drift = snapshot.drift
    if drift is None:
        return ""
    since = time.strftime("%d %b %H:%M", time.localtime(drift.since))
    return (
        f"the machine has changed: the baseline measures {change(drift.change)} since {since} ({drift.since_run}); "
        "older figures are not comparable: mend the machine, or launch a campaign with a new --tag"
    )


def more_commands(one: Experiment) -> tuple[str, ...]:
    """The commands that show more of it."""
    commands = [f"autoresearch-tui diff {one.id}"] if one.commit and one.parent_id else []
    commands += [f"autoresearch-tui log {run.id}" for run in one.runs if run.started_at is not None][-1:]
    return (*commands, f"autoresearch-tui experiments {one.id} --json")


def verdict_basis_record(snapshot: LabSnapshot, one: Experiment) -> dict[str, Any]:
    """The grounds of a verdict for scripts."""
    basis, reach = verdict_basis_of(snapshot, one), margin(snapshot.noise, runs_behind(one))
    against = basis.against
    return {
        "rule": basis.rule.value if basis.rule else None,
        "rule_in_words": rule_in_words(one, basis),
        "decided_by": [run.id for run in basis.decided_by],
        "estimated_by": [run.id for run in basis.estimated_by],
        "unverified": is_unverified(snapshot, one),
        "parts": {run.id: part_of(one, run).value for run in one.runs},
        "metric_margin": reach if one.metric is not None and _is_own(snapshot, one) else None,
        "against": None
        if against is None
        else {
            "id": against.experiment.id,
            "metric_then": against.metric,
            "runs_then": [run.id for run in against.runs],
            "runs_by_now": against.runs_by_now,
        },
        "cost": {"runs": basis.runs, "device_s": basis.device_s, "usd": one.cost_usd},
        "commands": list(more_commands(one)),
    }


def _is_own(snapshot: LabSnapshot, one: Experiment) -> bool:
    return snapshot.campaign is not None and snapshot.campaign.setting.id == one.setting_id


def _gain(one: Experiment) -> str:
    if one.gain is None:
        return ""
    low, high = one.gain_low, one.gain_high
    spread = f" ({change(low)} to {change(high)}, 95 %)" if low is not None and high is not None else ""
    sure = (
        f", {confidence_in_words(one.confidence)} sure that it is one" if one.confidence is not None else ""
    )
    return f"{change(one.gain)}{spread}{sure}; positive is better"


def confidence_in_words(confidence: float) -> str:
    """A confidence as people say it; never all of it."""
    return "over 99 %" if confidence > 0.99 else f"{confidence * 100:.0f} %"


def _against(basis: VerdictBasis) -> str:
    against = basis.against
    if against is None:
        return ""
    if not against.runs:
        return f"{against.experiment.id}, which had no run that counts then"
    then = f"{against.experiment.id} at {metric(against.metric)} {_name_runs(against.runs, 'over')}"
    later = against.runs_by_now - len(against.runs)
    return then + (f"; {against.runs_by_now} by now" if later > 0 else "")


def _name_runs(runs: tuple[Run, ...], word: str) -> str:
    if not runs:
        return ""
    return f"{word} {len(runs)} run{'s' * (len(runs) != 1)}: {', '.join(run.id for run in runs)}"


def _cost(one: Experiment, basis: VerdictBasis) -> str:
    if not basis.runs and not one.spending.tokens:
        return ""
    runs = f"{basis.runs} run{'s' * (basis.runs != 1)}, {age(basis.device_s)} of a device"
    return ", ".join(part for part in (runs, model_cost(one.spending)) if part)


def model_cost(spending: Spending) -> str:
    """What steps of thinking cost: "3 steps, 12.3k tokens in, 900k from the cache, 1.2k out, ~$0.41"."""
    if not spending.tokens and not spending.usd:
        return ""
    cached = spending.cache_read_tokens
    parts = (
        f"{spending.steps} step{'s' * (spending.steps != 1)} of the model",
        f"{thousands(spending.input_tokens + spending.cache_write_tokens)} tokens in",
        f"{thousands(cached)} from its cache" if cached else "",
        f"{thousands(spending.output_tokens)} out",
        f"no price known for {plain(spending.unpriced)}" if spending.unpriced else "",
        ("~" if spending.is_estimate else "") + dollars(spending.usd) if spending.usd else "",
    )
    return ", ".join(part for part in parts if part)


def hypothesis_facts(one: Hypothesis) -> tuple[tuple[str, str], ...]:
    """Names and texts; those that it does not say are left out."""
    facts = (
        ("Why", one.rationale),
        ("Risk", one.risk),
        ("Builds on", ", ".join(one.builds_on)),
        ("Falsified by", one.falsified_by),
        ("Independent", _INDEPENDENT[one.independent]),
        ("Parent", one.parent_id or ""),
    )
    return tuple(fact for fact in facts if fact[1])


def holdout_sentence(lineage: Lineage) -> str:
    """One line that names how much of the gain is on the holdout."""
    last = lineage.last
    sentence = (
        f"{last.experiment.id}: holdout gain {change(last.holdout_gain)} of the validation gain "
        f"{change(last.validation_gain)} ({share_with_interval(last)})"
    )
    if lineage.overfits_since:
        return f"overfitting to validation since {lineage.overfits_since}; {sentence}"
    return sentence


def share_with_interval(step: LineagePoint) -> str:
    """The share of the validation gain that is found on the holdout."""
    check = step.check
    if check is None or math.isnan(check.share):
        return "no share: no gain"
    if math.isinf(check.share_low) or math.isinf(check.share_high):
        return "share not sure yet"
    return f"share {check.share:.2f}, {check.share_low:.2f} to {check.share_high:.2f}"
