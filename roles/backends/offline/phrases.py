"""How the search says what it does: titles, rationales, expectations, what a verdict means."""

from __future__ import annotations

from collections.abc import Sequence

from roles.backend import Reflection
from roles.backends.offline.beliefs import Belief
from roles.backends.offline.canvas import written
from roles.backends.offline.edits import CatalogueEdit, Edit, to_json
from roles.backends.offline.history import FAILED, EditVerdict
from roles.backends.offline.proposals import Proposal
from supervisor.model.experiment import Experiment
from supervisor.model.snapshot import Hypothesis
from supervisor.model.states import Verdict
from supervisor.text import figure, signed_figure

_NOTEWORTHY_SDS = 3.0


def title_of(edit: Edit) -> str:
    """One line: "Halve TOKENS_PER_STEP (4096 → 2048)"."""
    if isinstance(edit, CatalogueEdit) or len(edit.moves) > 1:
        return edit.words
    move = edit.moves[0]
    values = f"({written(move.old)} → {written(move.new)})"
    if isinstance(move.new, bool):
        return f"Switch {move.knob} {'on' if move.new else 'off'}"
    if isinstance(move.new, str) or isinstance(move.old, str):
        return move.words
    if move.new == move.old * 2:
        return f"Double {move.knob} {values}"
    if move.new * 2 == move.old:
        return f"Halve {move.knob} {values}"
    return f"{'Raise' if move.direction == 'up' else 'Lower'} {move.knob} {values}"


def hypothesis_of(proposal: Proposal) -> Hypothesis:
    """A proposal as the plan carries it."""
    belief, title = proposal.belief, title_of(proposal.edit)
    return Hypothesis(
        title=f"Port {proposal.port_of}: {title}" if proposal.port_of else title,
        rationale=_rationale(proposal),
        change=proposal.edit.words,
        expected_gain=belief.mean if belief.knows else None,
        category=belief.prior.category,
        edit=to_json(proposal.edit),
    )


def _rationale(proposal: Proposal) -> str:
    belief, reason = proposal.belief, _lower_first(proposal.belief.prior.reason)
    parts = []
    if proposal.message:
        parts.append(f'The person asked: "{proposal.message}".')
    if proposal.port_of:
        parts.append(f"Kept on another branch in {proposal.port_of}; it counts here only when measured here.")
    if belief.evidence:
        parts.append(f"This direction {_cited(belief.evidence)}.")
    if belief.opposite:
        parts.append(f"The other way {_cited(belief.opposite)}.")
    source = "Prior, from domain knowledge" if belief.knows else "Untried here; prior, from domain knowledge"
    parts.append(f"{source}: {reason}.")
    return " ".join(parts)


def _lower_first(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _cited(evidence: Sequence[EditVerdict]) -> str:
    return ", ".join(item.words for item in evidence[-3:])


def expectation_of(edit: Edit, belief: Belief, metric: str) -> str:
    """Written before the edit: the gain it should bring, how sure that is, and why."""
    if not belief.knows:
        return (
            f"{title_of(edit)}: no figure, nothing of the kind was measured yet. It might help because "
            f"{_lower_first(belief.prior.reason)}."
        )
    verdicts = _cited(belief.evidence or belief.opposite)
    side = "this direction" if belief.evidence else "the other way"
    change = f"{metric} should get {'better' if belief.mean >= 0 else 'worse'} by {figure(abs(belief.mean))}"
    return f"{title_of(edit)}: {change} (± {figure(belief.sd)}), since {side} {verdicts}."


def reflection_on(experiment: Experiment, noise_sd: float | None, metric: str) -> Reflection:
    """What a verdict says beside what was expected and the noise, and a note when others should know."""
    verdict, gain = experiment.verdict, experiment.gain
    expectation = experiment.expectation or "nothing was written down beforehand"
    if verdict in FAILED and verdict is not None:
        text = (
            f"Expected: {expectation}\nSeen: {verdict.value}, {experiment.reason or 'no reason given'}.\n"
            f"It means: this edit does not work on this code as it stands; the search counts it as a loss."
        )
        return Reflection(text, f"{verdict.value}: {experiment.title}", f"{experiment.id}: {text}")
    if gain is None or verdict is None:
        return Reflection(
            f"Expected: {expectation}\nSeen: no figure ({verdict.value if verdict else 'undecided'})."
        )
    sds = gain / noise_sd if noise_sd else None
    outcome = f"{metric} {'better' if gain > 0 else 'worse'} by {figure(abs(gain))}"
    outcome += f", {abs(sds):.1f} noise SDs" if sds is not None else ", noise not known yet"
    text = f"Expected: {expectation}\nSeen: {outcome} ({verdict.value}).\nIt means: {_meaning(verdict, sds)}"
    if sds is None or abs(sds) < _NOTEWORTHY_SDS:
        return Reflection(text)
    return Reflection(
        text, f"{experiment.title}: {signed_figure(gain)} {metric} gain", f"{experiment.id}: {text}"
    )


def _meaning(verdict: Verdict, sds: float | None) -> str:
    if verdict is Verdict.KEEP:
        return "the direction pays here; a further step the same way is expected to bring about half as much."
    if sds is None or abs(sds) < 2:
        return (
            "nothing that the noise could not do by itself; this is no evidence against the idea elsewhere."
        )
    if sds < 0:
        return "a real loss on this code; the other direction becomes a little likelier."
    return "a gain that the runs could not confirm."
