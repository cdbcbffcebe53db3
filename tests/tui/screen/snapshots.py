"""Labs at moments worth looking at, as real snapshots. Figures are made up, but of the right size.

`.venv/bin/python -m tests.tui.look mid` (or empty, launching, crashed, many, finished) shows one.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

from sessions.runs.contract import RunEnding, RunPhase, RunProgress
from supervisor.model.experiment import Experiment, Flag, Run, Spending
from supervisor.model.promotion import (
    Interval,
    Piece,
    PieceKind,
    PieceState,
    Promotion,
    PromotionKind,
    PromotionState,
)
from supervisor.model.snapshot import (
    Agent,
    Campaign,
    Device,
    Event,
    Hypothesis,
    LabSnapshot,
    Limits,
    Noise,
    Note,
    Setting,
)
from supervisor.model.states import (
    AgentState,
    CampaignState,
    Clock,
    Direction,
    ExperimentState,
    HypothesisState,
    Role,
    RunKind,
    RunState,
    Verdict,
    Wanted,
)

NOW = 1_763_690_000.0
ROOT = Path("/home/ada/lab")
SETTING = Setting("5e771c", "a1b2c3d4", "f00dcafe", "val_bpb", 20.0, Clock.CPU, "cpu")
CAMPAIGN = Campaign(
    tag="nov20",
    state=CampaignState.RUNNING,
    wanted=Wanted.RUNNING,
    reason="",
    base_commit="0" * 40,
    metric="val_bpb",
    direction=Direction.LOWER,
    setting=SETTING,
    limits=Limits(experiments=100, hours=8.0),
    started_at=NOW - 11_520,
    running_s=11_520.0,
    drafts_ahead=1,
    approve=False,
    base_branch="main",
)
_IDEAS = (
    ("halve the tokens per step", -0.1),
    ("depth 4 → 2", -0.05),
    ("MATRIX_LR 0.01 → 0.02", -0.02),
    ("ReLU² instead of GELU", 0.004),
    ("tie the embeddings", 0.03),
    ("warm-down over the last half", -0.03),
    ("value embeddings in every layer", -0.012),
    ("RoPE base 10k → 200k", 0.001),
    ("soft-cap the logits at 15", -0.001),
    ("pre-norm → sandwich norm", 0.012),
    ("UNEMBEDDING_LR 0.002 → 0.004", -0.008),
    ("depth 9, aspect ratio 48: 深い and narrow", 0.21),
    ("Muon for the matrices", -0.009),
    ("batch ramp from 1k to 4k tokens", 0.002),
)


def run(
    experiment_id: str,
    ordinal: int,
    metric: float | None,
    kind: RunKind = RunKind.CANDIDATE,
    ending: RunEnding = RunEnding.MEASURED,
    reason: str = "",
) -> Run:
    """A finished run."""
    return Run(
        id=f"{experiment_id}.{ordinal}",
        experiment_id=experiment_id,
        kind=kind,
        ordinal=ordinal,
        seed=1336 + ordinal,
        state=RunState.FINISHED,
        queued_at=NOW - 400,
        device=f"cpu:{ordinal % 2}",
        started_at=NOW - 390,
        finished_at=NOW - 360,
        ending=ending,
        reason=reason,
        metric=metric,
        training_s=20.0,
        total_s=27.4,
        cpu_per_wall=0.99,
        peak_memory_mb=612.0,
        steps=441,
        tokens=451_584,
    )


def running(experiment_id: str, device: str, fraction: float, kind: RunKind = RunKind.CANDIDATE) -> Run:
    """A run under way."""
    progress = RunProgress(
        RunPhase.TRAINING, fraction, fraction * 20.0, int(fraction * 440), 3.02, 21_840.0, NOW
    )
    return Run(
        id=f"{experiment_id}.1",
        experiment_id=experiment_id,
        kind=kind,
        ordinal=1,
        seed=1337,
        state=RunState.RUNNING,
        queued_at=NOW - 30,
        device=device,
        started_at=NOW - 20,
        progress=progress,
    )


def baseline() -> Experiment:
    """The baseline, measured three times."""
    return Experiment(
        id="e0000",
        agent="",
        title="the canvas as it was at launch",
        state=ExperimentState.DECIDED,
        parent_id=None,
        parent_commit="0" * 40,
        setting_id=SETTING.id,
        created_at=NOW - 11_500,
        commit="b" * 40,
        verdict=Verdict.BASELINE,
        decided_at=NOW - 11_400,
        runs=tuple(run("e0000", k, 1.9021 + 0.004 * (k - 2), RunKind.BASELINE) for k in (1, 2, 3)),
    )


def experiments(count: int, seed: int = 4) -> tuple[tuple[Experiment, ...], str]:
    """The baseline and `count` decided experiments of two juniors, and the champion's id."""
    draw = random.Random(seed)
    best, champion, done = 1.9021, "e0000", [baseline()]
    for number in range(1, count + 1):
        title, effect = _IDEAS[(number - 1) % len(_IDEAS)]
        effect *= 0.9 ** (number // len(_IDEAS) * 6)
        one_id, value = f"e{number:04d}", best + effect + draw.gauss(0, 0.004)
        crashed = number % 17 == 5
        keep = not crashed and best - value > 0.006
        runs: tuple[Run, ...] = (run(one_id, 1, value),)
        if crashed:
            runs = (
                run(one_id, 1, None, ending=RunEnding.CRASHED, reason="diverged: loss is nan at step 12"),
            )
        elif keep:
            value = best + effect
            runs += (run(one_id, 2, value + 0.002, RunKind.REPLICATION),)
            runs += tuple(
                run(one_id, k, value + 0.001 * (4 - k), RunKind.FRESH) for k in (3, 4, 5)[: number % 4]
            )
        agent = f"junior-{number % 2 + 1}"
        decided_at = NOW - 11_400 + number * 11_000 / max(count, 1)
        one = Experiment(
            id=one_id,
            agent=agent,
            title=title,
            state=ExperimentState.DECIDED,
            parent_id=champion,
            parent_commit="c" * 40,
            setting_id=SETTING.id,
            created_at=decided_at - 60,
            branch=f"autoresearch/nov20-{agent}",
            commit=f"{draw.getrandbits(160):040x}",
            hypothesis_id=f"h-{number:02d}",
            verdict=Verdict.CRASH if crashed else Verdict.KEEP if keep else Verdict.DISCARD,
            reason="diverged: loss is nan at step 12" if crashed else "",
            expectation="Fewer tokens a step give more steps in the same time; steps are what is missing.",
            reflection="As expected, and more of it: the gain is outside the noise by far." if keep else "",
            gain=None if crashed else best - value,
            gain_low=None if crashed else best - value - 0.012,
            gain_high=None if crashed else best - value + 0.012,
            confidence=None if crashed else 0.995 if keep else 0.41,
            decided_at=decided_at,
            lines_added=2,
            lines_removed=1,
            runs=runs,
        )
        done.append(one)
        if keep:
            best, champion = one.metric or value, one_id
    return tuple(done), champion


def agent(name: str, state: AgentState, since_s: float, **more: object) -> Agent:
    """An agent in a state since so many seconds."""
    role = Role.CHIEF if name == "chief" else Role.JUNIOR
    branch = "" if role is Role.CHIEF else f"autoresearch/nov20-{name}"
    one = Agent(
        name, role, "offline", state, NOW - since_s, Wanted.RUNNING, branch=branch, heartbeat_at=NOW - 2
    )
    return dataclasses.replace(one, **more)  # type: ignore[arg-type]


def hypothesis(number: int, state: HypothesisState, **more: object) -> Hypothesis:
    """An entry of the plan."""
    title, effect = _IDEAS[number % len(_IDEAS)]
    one = Hypothesis(
        id=f"h-{number:02d}",
        title=title,
        rationale="The curve is still steep when the budget ends, so more steps should beat larger ones; two "
        "earlier keeps point the same way, and nothing here costs memory.",
        change=f"In training/train.py: {title}.",
        expected_gain=-effect if effect < 0 else 0.004,
        category=("schedule", "depth", "optimizer")[number % 3],
        state=state,
        author="chief",
        position=float(number),
        created_at=NOW - 500,
    )
    return dataclasses.replace(one, **more)  # type: ignore[arg-type]


def spent(usd: float) -> Spending:
    """What nine steps cost."""
    return Spending(9, usd, True, 0.2, 120_000, 9_000, 900_000, 40_000)


def empty() -> LabSnapshot:
    """A lab before its first launch."""
    return LabSnapshot(root=ROOT, taken_at=NOW, version=1, campaign=None)


def launching() -> LabSnapshot:
    """The baselines run, the chief plans."""
    one = dataclasses.replace(
        baseline(),
        state=ExperimentState.MEASURING,
        verdict=None,
        decided_at=None,
        runs=(running("e0000", "cpu:0", 0.2),),
    )
    return LabSnapshot(
        root=ROOT,
        taken_at=NOW,
        version=2,
        campaign=dataclasses.replace(CAMPAIGN, running_s=9.0, started_at=NOW - 9),
        agents=(
            agent("chief", AgentState.PLANNING, 4, doing="reading train.py and program.md"),
            agent("junior-1", AgentState.STARTING, 3),
            agent("junior-2", AgentState.IDLE, 2, doing="waits for the baseline"),
        ),
        devices=(
            Device("cpu:0", "cpu", "core 0", "e0000.1", NOW - 8),
            Device("cpu:1", "cpu", "core 1", since=NOW - 9),
        ),
        experiments=(one,),
        baseline_id="e0000",
        champion_id="e0000",
        supervisor_alive=True,
    )


def mid(count: int = 38) -> LabSnapshot:
    """Two juniors and a chief, three hours in."""
    done, champion = experiments(count)
    first, second = f"e{count + 1:04d}", f"e{count + 2:04d}"
    base = dataclasses.replace(
        done[-1],
        state=ExperimentState.MEASURING,
        verdict=None,
        gain=None,
        decided_at=None,
        reflection="",
        commit="d" * 40,
    )
    new = (
        dataclasses.replace(
            base,
            id=first,
            agent="junior-1",
            title="halve the batch, twice the steps",
            runs=(running(first, "cpu:0", 0.63),),
        ),
        dataclasses.replace(
            base,
            id=second,
            agent="junior-2",
            title="drop the value embeddings",
            state=ExperimentState.DRAFTING,
            runs=(),
            commit=None,
        ),
    )
    every = (*done, *new)
    fresh = dataclasses.replace(running(champion, "cpu:1", 0.18, RunKind.FRESH), id=f"{champion}.9")
    every = tuple(
        dataclasses.replace(one, runs=(*one.runs, fresh)) if one.id == champion else one for one in every
    )
    return LabSnapshot(
        root=ROOT,
        taken_at=NOW,
        version=412,
        campaign=CAMPAIGN,
        agents=(
            agent(
                "chief",
                AgentState.PLANNING,
                41,
                doing="planning h-42…h-45",
                spending=spent(1.04),
            ),
            agent(
                "junior-1",
                AgentState.WAITING,
                14,
                spending=spent(0.41),
                incumbent_id=champion,
            ),
            agent(
                "junior-2",
                AgentState.EDITING,
                185,
                doing="editing train.py",
                waiting_for="may I drop the value embeddings?",
                spending=spent(0.47),
            ),
        ),
        devices=(
            Device("cpu:0", "cpu", "core 0", f"{first}.1", NOW - 14),
            Device("cpu:1", "cpu", "core 1", f"{champion}.9", NOW - 4),
        ),
        hypotheses=(
            *(
                hypothesis(
                    k, HypothesisState.TESTED, experiment_id=f"e{k:04d}", claimed_by=f"junior-{k % 2 + 1}"
                )
                for k in range(1, 6)
            ),
            hypothesis(39, HypothesisState.CLAIMED, claimed_by="junior-1", experiment_id=first),
            hypothesis(40, HypothesisState.OPEN),
            hypothesis(41, HypothesisState.PROPOSED),
            hypothesis(42, HypothesisState.OPEN, author="person"),
        ),
        experiments=every,
        notes=(
            Note(
                "warm-down",
                "A long warm-down pays at every depth",
                "junior-2",
                NOW - 1200,
                ROOT / "notes/warm-down.md",
                "e0006",
            ),
            Note(
                "tying",
                "Tied embeddings lose at 2k vocabulary",
                "junior-1",
                NOW - 5400,
                ROOT / "notes/tying.md",
                "e0005",
            ),
        ),
        events=(Event(1, NOW - 30, "junior-1", "e0039 is ready"),),
        noise=Noise(0.0061, 14.0, 17),
        champion_id=champion,
        baseline_id="e0000",
        supervisor_alive=True,
        kept=sum(one.verdict is Verdict.KEEP for one in done),
        counted=count,
        experiments_per_hour=11.9,
    )


def crashed() -> LabSnapshot:
    """A junior died too often, another is silent, a third is paused, a device is out of use."""
    lab = mid()
    chief, one, two = lab.agents
    return dataclasses.replace(
        lab,
        agents=(
            chief,
            dataclasses.replace(one, state=AgentState.THINKING, heartbeat_at=NOW - 240),
            dataclasses.replace(
                two, state=AgentState.CRASHED, waiting_for="", restarts=3, state_since=NOW - 610
            ),
            agent("junior-3", AgentState.PAUSED, 4000, wanted=Wanted.PAUSED),
            agent("junior-4", AgentState.REFLECTING, 5, wanted=Wanted.STOPPED),
        ),
        devices=(
            *lab.devices,
            Device(
                "cuda:0",
                "NVIDIA H200",
                "NVIDIA H200 141 GB",
                None,
                NOW - 95,
                "a process of another user holds 71 GB",
            ),
        ),
        supervisor_alive=False,
    )


def promoting(state: PromotionState = PromotionState.EVIDENCE, **more: object) -> LabSnapshot:
    """The champion is measured against main, or was."""
    lab = mid()
    champion = lab.experiment(lab.champion_id)
    assert champion is not None
    measuring = state is PromotionState.MEASURING
    sides = []
    for one_id, value in (("e0900", 1.9021), ("e0901", 1.7012)):
        runs = [run(one_id, k, value + 0.003 * (k - 2), RunKind.VERIFICATION) for k in (1, 2, 3)]
        runs = [dataclasses.replace(one, holdout=(one.metric or 0.0) + 0.02) for one in runs]
        if measuring:
            runs = [runs[0], running(one_id, "cpu:0", 0.5, RunKind.VERIFICATION)]
        flags = (Flag("new-import", "training/train.py", 12, "import [b]ctypes[/b]"),)
        side = dataclasses.replace(
            champion, id=one_id, agent="", runs=tuple(runs), lines_added=9, lines_removed=4,
            flags=flags if one_id == "e0901" else (),
        )  # fmt: skip
        sides.append(side)
    gain = None if measuring else Interval(0.2009, 0.1951, 0.2067)
    whole = Piece(
        2, PieceKind.WHOLE, champion.title, PieceState.MEASURING if measuring else PieceState.TAKEN,
        reason="" if measuring else "reproduced over 3 runs of each side",
        base=sides[0], candidate=sides[1], commit="d" * 40, gain=gain, holdout=gain,
    )  # fmt: skip
    ground = Piece(
        1, PieceKind.GROUND, champion.title, PieceState.TAKEN, champion.id, CAMPAIGN.base_commit,
        champion.commit or "", 0.2312,
    )  # fmt: skip
    promotion = Promotion(
        3, CAMPAIGN.tag, PromotionKind.PROMOTE, state, champion.title, NOW - 200,
        base_commit="0" * 40, commit="d" * 40, pieces=(ground, whole), home=CAMPAIGN.base,
    )  # fmt: skip
    promotion = dataclasses.replace(promotion, **more)  # type: ignore[arg-type]
    return dataclasses.replace(lab, promotions=(promotion,), trials=tuple(sides))


def many() -> LabSnapshot:
    """Thousands of experiments and a dozen agents."""
    lab = mid(3000)
    more = tuple(
        agent(f"junior-{k}", AgentState.THINKING, 10 * k, doing="writing its expectation")
        for k in range(3, 12)
    )
    return dataclasses.replace(lab, agents=lab.agents + more)


def finished() -> LabSnapshot:
    """The limit was reached."""
    lab = mid()
    campaign = dataclasses.replace(CAMPAIGN, state=CampaignState.FINISHED, reason="100 experiments were made")
    return dataclasses.replace(
        lab,
        campaign=campaign,
        agents=tuple(
            dataclasses.replace(one, state=AgentState.STOPPED, waiting_for="") for one in lab.agents
        ),
        devices=tuple(dataclasses.replace(one, run_id=None) for one in lab.devices),
        experiments=tuple(one for one in lab.experiments if one.verdict),
    )


ALL = {
    "empty": empty,
    "launching": launching,
    "mid": mid,
    "crashed": crashed,
    "many": many,
    "finished": finished,
    "promoting": promoting,
}
