"""What the command needs beside the commit, ignored files and a network: found for the command as it was settled."""

from __future__ import annotations

from dataclasses import replace

from sessions.git.ignored import ignored_paths
from supervisor.init.survey import Survey
from supervisor.recognition.beside import add_beside, sources_of
from supervisor.recognition.finding import Fact, Finding
from supervisor.recognition.network import add_network

_FACTS = (Fact.LINKS, Fact.COPIES, Fact.NETWORK)


def with_needs(survey: Survey, finding: Finding) -> Finding:
    """The finding with what its command needs. Told a second time, of another command, it forgets the first."""
    known = [entry for entry in finding.evidence if entry.fact in _FACTS]
    if any(entry.where == "you" for entry in known):
        return finding
    finding = replace(
        finding,
        links=(),
        copies=(),
        network=None,
        evidence=tuple(entry for entry in finding.evidence if entry not in known),
        guesses=finding.guesses - set(_FACTS),
    )
    before = finding.cautions
    finding = add_beside(finding, survey.tree, ignored_paths(survey.root))
    finding = add_network(finding, survey.tree, sources_of(finding, survey.tree))
    return replace(finding, cautions=tuple(dict.fromkeys((*before, *finding.cautions))))
