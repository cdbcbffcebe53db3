"""The states that things of the lab can be in, as enums; the words are those of the glossary."""

from enum import StrEnum

PORT = "port"  # category of a hypothesis that carries a change to another incumbent


class Role(StrEnum):
    """What an agent is: a prompt and a loop."""

    CHIEF = "chief"
    JUNIOR = "junior"


class AgentState(StrEnum):
    """What an agent itself is doing. Its experiment's state is another thing."""

    STARTING = "starting"
    IDLE = "idle"  # nothing to do: no hypothesis to take, or its drafts are all queued
    PLANNING = "planning"  # the chief forms hypotheses
    THINKING = "thinking"  # a junior writes its expectation
    EDITING = "editing"
    WAITING = "waiting"  # its experiments are queued or training
    REFLECTING = "reflecting"
    PAUSED = "paused"
    PARKED = "parked"  # a limit of its model; it goes on by itself when that is over
    FAILING = "failing"  # its backend could not do the last step; it tries again by itself
    CRASHED = "crashed"  # it died too often; only the person restarts it
    STOPPED = "stopped"


class Wanted(StrEnum):
    """What the person wants of an agent or of the campaign; the processes obey it."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    TAKEN = "taken over"  # the person works in an agent's place; campaigns are never


class Mode(StrEnum):
    """Who orders an agent's steps."""

    HEADLESS = "headless"  # the lab's own loop
    INTERACTIVE = "interactive"  # its client, with the lab as tools; its pane is the client's own interface


class CampaignState(StrEnum):
    """What the campaign is doing."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"  # by the person; `launch` resumes it
    FINISHED = "finished"  # a limit was reached


class HypothesisState(StrEnum):
    """Where an entry of the plan stands."""

    PROPOSED = "proposed"  # waits for the person's yes
    OPEN = "open"
    CLAIMED = "claimed"
    TESTED = "tested"
    WITHDRAWN = "withdrawn"  # rejected by the person, or it could not be applied


UNCLAIMED = frozenset({HypothesisState.PROPOSED, HypothesisState.OPEN})  # they wait for a yes or a taker
UNTESTED = UNCLAIMED | {HypothesisState.CLAIMED}


class Purpose(StrEnum):
    """What an experiment is for."""

    RESEARCH = "research"
    PROMOTION = "promotion"  # it only measures what is to be promoted


class ExperimentState(StrEnum):
    """Where an experiment stands on its way to a verdict."""

    DRAFTING = "drafting"  # an agent thinks and edits
    READY = "ready"  # committed and guarded; waits for a device
    MEASURING = "measuring"  # at least one of its runs has started
    DECIDED = "decided"


class Verdict(StrEnum):
    """How an experiment ended."""

    BASELINE = "baseline"
    KEEP = "keep"
    DISCARD = "discard"
    CRASH = "crash"
    TIMEOUT = "timeout"
    REJECTED = "rejected"  # the guard, the referee or a gate refused it
    THOUGHT = "thought"  # reasoned, not run


class RunKind(StrEnum):
    """Why a training run is made."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"
    REPLICATION = "replication"  # a further seed of a candidate whose verdict hangs on it
    FRESH = "fresh"  # of an incumbent, decided before its outcome was known
    VERIFICATION = "verification"
    DRIFT = "drift"
    CANARY = (
        "canary"  # of the base with an editable file broken: it has to fail, or to measure something else
    )


class RunState(StrEnum):
    """Where a training run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"


class Clock(StrEnum):
    """What the training budget counts."""

    CPU = "cpu"  # CPU seconds of the whole process tree
    WALL = "wall"


class Direction(StrEnum):
    """Which way the metric improves."""

    LOWER = "lower"
    HIGHER = "higher"

    @property
    def sign(self) -> float:
        """Multiply a rise of the metric by this to get a gain: positive is better."""
        return -1.0 if self is Direction.LOWER else 1.0
