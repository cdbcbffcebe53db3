"""What a step costs where the client only counts tokens, and how it is added up and held to budgets."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from roles.backend import Cost, SpentError
from roles.loops.agent_process import open_agent_process
from roles.loops.step_record import priced
from supervisor.analysis.limits import FIRST_STEP_USD, limit_reached, spent_out
from supervisor.campaign.launch import open_campaign
from supervisor.campaign.options import LaunchOptions
from supervisor.lab.paths import find_lab
from supervisor.model.experiment import Spending
from supervisor.model.snapshot import Agent, LabSnapshot, Limits
from supervisor.model.states import Wanted
from supervisor.store.connection import Store
from tests.tui.screen import snapshots
from tests.worlds.labs import make_toy_lab

MILLION = 1_000_000


def test_tokens_are_priced_by_kind() -> None:
    whole, _, _ = priced(Cost(None, MILLION, 0, 0, 0, "claude-sonnet-5"))
    cached, is_estimate, unknown = priced(Cost(None, 0, 0, MILLION, 0, "claude-sonnet-5"))
    written, _, _ = priced(Cost(None, 0, 0, 0, MILLION, "claude-sonnet-5"))
    out, _, _ = priced(Cost(None, 0, MILLION, 0, 0, "claude-sonnet-5"))
    assert 0 < cached < whole < written < out
    assert is_estimate and unknown == ""


def test_what_the_client_says_goes_before_the_table() -> None:
    assert priced(Cost(0.125, MILLION, 5, 0, 0, "claude-sonnet-5")) == (0.125, False, "")
    assert priced(Cost()) == (0.0, False, "")


def test_an_unknown_model_is_named_and_costs_nothing_known() -> None:
    assert priced(Cost(None, 10, 5, 0, 0, "my-own")) == (0.0, True, "no price is known for my-own")


def lab_with(usd: float | None, usd_each: float | None, *spent: Spending) -> LabSnapshot:
    lab = snapshots.mid()
    assert lab.campaign is not None
    campaign = dataclasses.replace(lab.campaign, limits=Limits(usd=usd, usd_each=usd_each))
    each = tuple(
        dataclasses.replace(agent, backend="anthropic", spending=spending, wanted=Wanted.RUNNING)
        for agent, spending in zip(lab.agents, spent, strict=True)
    )
    return dataclasses.replace(lab, campaign=campaign, agents=each)


def of(usd: float, largest: float = 0.1, unpriced: str = "") -> Spending:
    return Spending(3, usd, True, largest, 5, 5, 0, 0, unpriced)


def test_no_step_begins_that_could_pass_the_runs_budget() -> None:
    lab = lab_with(1.0, None, of(0.3), of(0.3), of(0.3))
    assert spent_out(lab, lab.agents[0]) == ""
    lab = lab_with(1.0, None, of(0.31), of(0.3), of(0.3))
    assert "$0.91 of the run's $1.00" in spent_out(lab, lab.agents[0])
    assert limit_reached(lab) != ""  # no junior may go on


def test_an_agent_stops_at_its_own_budget_and_the_others_go_on() -> None:
    lab = lab_with(None, 0.5, of(0.0), of(0.45), of(0.1))
    assert [bool(spent_out(lab, agent)) for agent in lab.agents] == [False, True, False]
    assert limit_reached(lab) == ""


def test_the_first_step_has_to_fit_too_and_what_has_no_price_has_no_budget() -> None:
    nothing = Spending()
    lab = lab_with(FIRST_STEP_USD / 2, None, nothing, nothing, nothing)
    assert spent_out(lab, lab.agents[0])
    lab = lab_with(9.0, None, of(0.0, 0.0, "my-own"), nothing, nothing)
    assert "no price is known for my-own" in spent_out(lab, lab.agents[0])
    assert spent_out(lab, lab.agents[1]) == ""
    free: Agent = dataclasses.replace(lab.agents[0], backend="offline")
    assert spent_out(lab, free) == ""


def test_a_step_is_kept_added_up_and_refused_when_it_could_cost_too_much(tmp_path: Path) -> None:
    root = make_toy_lab(tmp_path / "lab").root
    with (root / "autoresearch.toml").open("a") as file:
        file.write('[limits]\nusd_each = 0.5\n[agents]\njunior = { backend = "offline", model = "m" }\n')
    lab = find_lab(root)
    open_campaign(lab, LaunchOptions(juniors=1, devices="cpu:0"), lambda _: None)
    process = open_agent_process(lab, "junior-1")
    with Store(lab.db).transaction() as db:
        db.execute("UPDATE agents SET backend = 'anthropic'")
    for usd in (0.2, 0.1):
        with process.step("edit", "e0000") as step:
            step.ended("edited", Cost(usd, 1000, 20, 300, 4, "claude-sonnet-5"))
    agent = process.snapshot().agent("junior-1")
    baseline = process.snapshot().experiment("e0000")
    assert agent is not None and baseline is not None
    assert agent.spending == Spending(2, pytest.approx(0.3), False, 0.2, 2000, 40, 600, 8)  # type: ignore[arg-type]
    assert baseline.spending == agent.spending
    with process.step("plan", None) as step:
        step.ended("done", Cost(0.1, 1, 1))
    with pytest.raises(SpentError, match=r"\$0.40 of its \$0.50"):
        with process.step("edit", "e0000"):
            raise AssertionError("it began")
