"""`experiments ID`: the whole story of a verdict, and nothing in it that agents may not know."""

from __future__ import annotations

import json

import pytest

from supervisor.model.experiment import Experiment, Flag
from supervisor.model.states import ExperimentState, RunKind, Verdict
from supervisor.store import runs
from supervisor.store.runs import insert_flags
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import TAG, World


def decided(world: World, verdict: Verdict) -> Experiment:
    return next(one for one in world.snapshot().experiments if one.verdict is verdict)


def facts_of(text: str) -> dict[str, str]:
    lines = text.split("\n\n")[0].splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_keep_names_its_rule_its_runs_its_incumbent_and_its_price(run: Run, played: World) -> None:
    keep = decided(played, Verdict.KEEP)
    facts = facts_of(run("experiments", keep.id).out)
    assert facts["verdict"] == "keep"
    assert facts["rule"].startswith("clearly better")
    assert (
        facts["against"].startswith(f"{keep.parent_id} at ") and " over 4 runs: e0000.1" in facts["against"]
    )
    assert facts["decided"] == f"by {len(keep.deciding_runs)} run{'s' * (len(keep.deciding_runs) != 1)}: " + (
        ", ".join(one.id for one in keep.deciding_runs)
    )
    assert all(one.id in facts["estimated"] for one in keep.unbiased_runs)
    assert "±" in facts["metric"]
    assert facts["cost"].startswith(f"{len(keep.runs)} runs, ")
    assert facts["change"] == "+1 −1 lines"
    assert f"autoresearch-tui diff {keep.id}" in run("experiments", keep.id).out


def test_the_incumbent_is_told_as_it_was_known_then(run: Run, played: World) -> None:
    keep = decided(played, Verdict.KEEP)
    assert keep.parent_id is not None
    runs.queue_runs(played.store, TAG, keep.parent_id, RunKind.FRESH, 1, played.now)
    late = played.experiment(keep.parent_id).runs[-1]
    assert runs.take_lease(played.store, late.id, "cpu:0", played.now)
    played.finish(late)
    against = json.loads(run("experiments", keep.id, "--json").out)["experiment"]["story"]["against"]
    parent = played.experiment(against["id"])
    later = [one.id for one in parent.unbiased_runs if (one.finished_at or 0) > (keep.decided_at or 0)]
    assert set(against["runs_then"]) == {one.id for one in parent.unbiased_runs} - set(later)
    assert late.id in later
    assert against["runs_by_now"] == len(parent.unbiased_runs)
    measured = [one.metric for one in parent.unbiased_runs if one.id in against["runs_then"]]
    assert against["metric_then"] == pytest.approx(sum(measured) / len(measured))  # type: ignore[arg-type]


def test_every_run_says_what_it_was_for(run: Run, played: World) -> None:
    keep = decided(played, Verdict.KEEP)
    record = json.loads(run("experiments", keep.id, "--json").out)["experiment"]
    parts = record["story"]["parts"]
    assert {one["id"] for one in record["runs"]} == set(parts)
    assert [name for name, part in parts.items() if part == "decided"] == record["story"]["decided_by"]
    assert all(one["attempt"] == 1 and one["held_s"] >= 0 for one in record["runs"])
    assert record["story"]["cost"]["device_s"] == sum(one["held_s"] for one in record["runs"])


def test_a_crash_and_a_discard_say_what_decided(run: Run, played: World) -> None:
    crash, discard = decided(played, Verdict.CRASH), decided(played, Verdict.DISCARD)
    assert "without a metric" in facts_of(run("experiments", crash.id).out)["rule"]
    assert facts_of(run("experiments", crash.id).out)["decided"].endswith(crash.runs[-1].id)
    assert facts_of(run("experiments", discard.id).out)["rule"].startswith(("no promise", "runs spent"))


def test_a_flag_comes_with_its_line_and_without_its_escapes(run: Run, played: World) -> None:
    keep = decided(played, Verdict.KEEP)
    flag = Flag("reads-targets", "training/train.py", 41, "y = \x1b[31mtargets\x1b[0m", "the model sees y")
    with played.store.transaction() as db:
        insert_flags(db, int(keep.id[1:]), (flag,))
    said = run("experiments", keep.id).out
    assert "reads-targets: training/train.py:41: the model sees y › y = targets" in said
    assert "\x1b" not in said
    row = next(row for row in run("leaderboard").table if row["id"] == keep.id)
    assert row["⚑"].startswith("⚑1")
    record = json.loads(run("experiments", keep.id, "--json").out)["experiment"]
    assert [one["rule"] for one in record["flags"]] == ["reads-targets"]


def test_what_is_not_decided_says_so(run: Run, world: World) -> None:
    one = next(e for e in world.snapshot().experiments if e.state is not ExperimentState.DECIDED)
    facts = facts_of(run("experiments", one.id).out)
    assert facts["verdict"] == one.state.value
    assert "rule" not in facts
