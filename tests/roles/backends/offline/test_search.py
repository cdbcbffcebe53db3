"""Planning: it learns what pays, repeats nothing, and is the same for the same seed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from roles.backend import BackendError, Canvas, Plan
from roles.backends.offline import OfflineBackend
from roles.backends.offline.proposals import Search
from roles.backends.offline.source import normalised
from supervisor.model.states import Verdict
from tests.roles.telling import Told

Past = Any  # of conftest
Make = Any


quiet = Told()


def plan(past: Past, **changes: object) -> Plan:
    return OfflineBackend().plan(past.brief(**changes), quiet)


def search(past: Past) -> Search:
    """The search as it stands at the champion."""
    brief = past.brief()
    return Search(brief.canvas[0], past.champion, brief.tried, brief.noise_sd, None)


def share(past: Past, make: Make, wanted: object, seeds: int = 12) -> float:
    """How often a plan of four holds the hypothesis with that edit's first arm."""
    hits = 0
    for seed in range(seeds):
        edits = [make.edit_of(proposed.edit) for proposed in plan(past, seed=seed).hypotheses]
        hits += any(edit.arms[0] == wanted for edit in edits)
    return hits / seeds


def test_a_plan_has_what_was_wanted_on_different_knobs(past: Past, make: Make) -> None:
    hypotheses = plan(past, wanted=8).hypotheses
    assert len(hypotheses) == 8
    assert len({make.edit_of(proposed.edit).subject for proposed in hypotheses}) == 8
    for proposed in hypotheses:
        assert proposed.title and proposed.change and proposed.category
        assert "domain knowledge" in proposed.rationale
        assert proposed.expected_gain is None  # nothing was measured yet


def test_the_same_seed_gives_the_same_plan_and_another_another(past: Past) -> None:
    past.add(past.text.replace("DEPTH = 4", "DEPTH = 3"), 0.05, Verdict.KEEP)
    assert plan(past, seed=5) == plan(past, seed=5)
    assert len({plan(past, seed=seed).hypotheses for seed in range(8)}) > 4


def test_it_learns_which_kind_pays(past: Past, make: Make) -> None:
    before = share(past, make, "MLP_RATIO up")
    for old, new in ((4, 5), (5, 6), (6, 7)):
        past.add(make.knob("MLP_RATIO", old, new), 0.10, Verdict.KEEP)
    after = share(past, make, "MLP_RATIO up")
    assert after >= before + 0.4


def test_it_learns_what_does_not_pay(past: Past, make: Make) -> None:
    before = share(past, make, "TOKENS_PER_STEP down")
    past.add(make.knob("TOKENS_PER_STEP", 4096, 2048), -0.10)
    past.add(make.knob("TOKENS_PER_STEP", 4096, 1024), -0.20)
    after = share(past, make, "TOKENS_PER_STEP down")
    assert before >= 0.5
    assert after == 0


@pytest.mark.parametrize("verdict", [Verdict.CRASH, Verdict.REJECTED, Verdict.TIMEOUT])
def test_failures_count_as_losses(past: Past, make: Make, verdict: Verdict) -> None:
    edit = make.structural("token-shift")
    before = search(past).beliefs.of(edit)
    past.add(edit, None, verdict)
    after = search(past).beliefs.of(edit)
    assert after.mean < before.mean - 0.01
    assert f"ended as {verdict.value} in e0001" in after.evidence[0].words


def test_what_was_measured_is_cited_and_expected(past: Past, make: Make) -> None:
    past.add(make.knob("TOKENS_PER_STEP", 4096, 2048), 0.12, Verdict.KEEP)
    found = [
        proposed
        for seed in range(10)
        for proposed in plan(past, seed=seed).hypotheses
        if make.edit_of(proposed.edit).arms == ("TOKENS_PER_STEP down",)
    ]
    assert found
    assert "gained 0.1200 in e0001 (keep)" in found[0].rationale
    assert found[0].expected_gain == pytest.approx(
        0.05, abs=0.03
    )  # about half of what the first step brought


def test_learns_from_diffs_of_other_minds(past: Past, make: Make) -> None:
    """A knob that a model or a person turned is evidence as well, read from the diff alone."""
    past.add(make.knob("TOKENS_PER_STEP", 4096, 2048), 0.12, Verdict.KEEP, silent=True)
    summary = plan(past).summary
    assert "Halve TOKENS_PER_STEP (4096 → 2048), gained 0.1200 in e0001 (keep)" in summary


def test_it_never_proposes_what_was_tried(past: Past, make: Make) -> None:
    """A long campaign: no proposal leads to code that any experiment had, on any branch."""
    seen = {normalised(past.text)}
    verdicts = itertools.cycle([(-0.02, Verdict.DISCARD), (0.03, Verdict.KEEP), (None, Verdict.CRASH)])
    for seed in range(7):
        for proposed in plan(past, seed=seed, wanted=3).hypotheses:
            edit = make.edit_of(proposed.edit)
            code = normalised(edit.apply(past.sources[past.champion]))
            assert code not in seen
            seen.add(code)
            gain, verdict = next(verdicts)
            past.add(edit, gain, verdict, silent=seed % 2 == 0)
            if verdict is Verdict.KEEP:
                break  # the others were for the code before


def test_what_any_branch_measured_is_taken(past: Past, make: Make) -> None:
    """Sources are rebuilt from diffs alone, forwards and backwards along the branches."""
    past.add(make.knob("QK_NORM", False, True), 0.05, Verdict.KEEP)
    past.add(make.knob("DEPTH", 4, 3), 0.05, Verdict.KEEP, silent=True)
    past.add(make.structural("squared-relu"), -0.05, parent="e0001")
    past.add(make.knob("N_HEAD", 4, 2), -0.05, silent=True)
    here = search(past)
    assert not here.take(make.knob("DEPTH", 3, 4))  # back to its own parent
    assert not here.take(make.knob("N_HEAD", 4, 2))  # tried here
    assert not here.take(make.knob("DEPTH", 3, 3))  # nothing changes
    assert here.take(make.structural("squared-relu"))  # tried on other code
    past.champion = "e0001"
    assert not search(past).take(make.structural("squared-relu"))
    assert not search(past).take(make.knob("DEPTH", 4, 3))
    past.champion = "e0003"
    assert not search(past).take(make.knob("N_HEAD", 4, 4))
    assert search(past).take(make.knob("N_HEAD", 4, 2))


def test_open_hypotheses_are_left_alone(past: Past, make: Make) -> None:
    first = plan(past, seed=2, wanted=6).hypotheses
    held = tuple(make.hypothesis(p.change, p.edit, f"h-{n:02d}") for n, p in enumerate(first))
    again = plan(past, seed=2, wanted=6, open_hypotheses=held).hypotheses
    assert len(again) == 6
    assert not {p.edit for p in first} & {p.edit for p in again}
    canvas = Canvas("fit.py", "flag = 1\nprint(flag)\n")
    (only,) = plan(past, canvas=(canvas,), tried=(), champion=None, wanted=3).hypotheses
    held = (make.hypothesis(only.change, only.edit),)
    none = plan(past, canvas=(canvas,), tried=(), champion=None, wanted=3, open_hypotheses=held)
    assert none.hypotheses == ()


def test_a_keep_of_another_branch_is_offered_as_a_port(past: Past, make: Make) -> None:
    past.add(make.knob("DEPTH", 4, 2), 0.2, Verdict.KEEP)
    past.champion = "e0000"
    other = past.add(make.structural("squared-relu"), 0.1, Verdict.KEEP)
    assert past.champion == other
    ports = [
        p for seed in range(5) for p in plan(past, seed=seed).hypotheses if p.title.startswith("Port e0001")
    ]
    assert ports
    assert "DEPTH 4 → 2" in ports[0].change
    assert ports[0].expected_gain == pytest.approx(0.16, abs=0.05)


def test_the_person_comes_first(past: Past, make: Make) -> None:
    hypotheses = plan(past, messages=("please try DEPTH = 3", "how is it going?")).hypotheses
    assert make.edit_of(hypotheses[0].edit) == make.knob("DEPTH", 4, 3)
    assert "The person asked" in hypotheses[0].rationale
    past.add(make.knob("DEPTH", 4, 3), -0.1)
    again = plan(past, messages=("please try DEPTH = 3",)).hypotheses
    assert all("The person asked" not in proposed.rationale for proposed in again)


def test_before_the_baseline_there_is_a_plan_too(past: Past) -> None:
    assert len(plan(past, tried=(), champion=None, noise_sd=None).hypotheses) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print('hello')\n", "no top-level number"),
        ("fn main() {}\n", "not Python that parses"),
        ("", "no top-level number"),
    ],
)
def test_a_canvas_without_anything_to_step_is_said_plainly(past: Past, text: str, says: str) -> None:
    found = plan(past, canvas=(Canvas("main.py", text),), tried=(), champion=None)
    assert found.hypotheses == () and says in found.summary
    assert "\n" not in found.summary and "choose a backend that thinks" in found.summary


def test_without_any_canvas_it_raises(past: Past) -> None:
    with pytest.raises(BackendError, match="no editable file"):
        plan(past, canvas=(), tried=(), champion=None)


def test_any_top_level_number_is_something_to_step(past: Past) -> None:
    canvas = Canvas("fit.py", "rate = 0.01\nlayers = 3\nprint(rate * layers)\n")
    hypotheses = plan(past, canvas=(canvas,), tried=(), champion=None).hypotheses
    assert {proposed.change.split()[0] for proposed in hypotheses} == {"rate", "layers"}


def test_when_everything_was_tried_it_says_so(past: Past) -> None:
    canvas = Canvas("fit.py", "flag = 1\nprint(flag)\n")
    found = plan(past, canvas=(canvas,), tried=(), champion=None, wanted=9)
    assert len(found.hypotheses) == 1
    assert "no more untried steps" in found.summary
