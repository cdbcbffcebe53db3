"""What thinking cost, step by step, where a person and a script look for it."""

from __future__ import annotations

import json

from supervisor.model.experiment import Experiment
from supervisor.model.records import ThinkingStep
from supervisor.model.states import Verdict
from supervisor.store.steps import record_step
from tests.worlds.command_lines import Run
from tests.worlds.fast_motion import TAG, World


def think(world: World, one: Experiment, usd: float, kind: str, ending: str = "done") -> None:
    tokens = {
        "input_tokens": 12_000,
        "cache_write_tokens": 400,
        "output_tokens": 2_100,
        "cache_read_tokens": 40_000,
    }
    step = ThinkingStep(
        one.agent, kind, one.id, "claude", "claude-opus-5", 1.0, 62.0, ending, "", usd, True, **tokens
    )
    record_step(world.store, TAG, step)


def the_keep(world: World) -> Experiment:
    return next(one for one in world.snapshot().experiments if one.verdict is Verdict.KEEP)


def test_an_experiment_tells_each_of_its_steps(run: Run, played: World) -> None:
    keep = the_keep(played)
    think(played, keep, 0.25, "edit", "edited")
    think(played, keep, 0.5, "reflect")
    said = run("experiments", keep.id).out
    assert "2 steps of the model, 24.8k tokens in, 80.0k from its cache, 4.2k out, ~$0.75" in said
    rows = [line.split() for line in said.splitlines() if line.startswith(("edit\t", "reflect\t"))]
    assert [row[:7] for row in rows] == [
        ["edit", "edited", "~$0.25", "12.4k", "2.1k", "40.0k", "1m"],
        ["reflect", "done", "~$0.50", "12.4k", "2.1k", "40.0k", "1m"],
    ]
    record = json.loads(run("experiments", keep.id, "--json").out)["experiment"]
    told = [(one["kind"], one["usd"], one["took_s"], one["model"]) for one in record["steps_of_thinking"]]
    assert told == [("edit", 0.25, 61.0, "claude-opus-5"), ("reflect", 0.5, 61.0, "claude-opus-5")]
    assert record["cost_usd"] == 0.75


def test_a_search_has_no_table_of_steps(run: Run, played: World) -> None:
    keep = the_keep(played)
    said = run("experiments", keep.id).out
    assert "of the model" not in said and "cached" not in said
