"""What the command needs beside the commit, ignored files and a network: found for the command as it was settled."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import replace

from sessions.devices.discovery import discover
from sessions.errors import DeviceError
from sessions.git.ignored import ignored_paths
from supervisor.init.survey import Survey
from supervisor.lab.active_environment import active_environment
from supervisor.lab.hardware import is_cpu, share_in_words
from supervisor.lab.programs import PYTHON, python_in
from supervisor.recognition.beside import add_beside, sources_of
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.network import add_network
from supervisor.recognition.tree import Tree

_FACTS = (Fact.LINKS, Fact.COPIES, Fact.NETWORK, Fact.GPUS, Fact.SHARE, Fact.PYTHON)
# How many processes, each on a GPU of its own, a launcher of distributed training is told to start.
_PROCESSES = (
    r"(?:torchrun|torch\.distributed\.(?:run|launch)|accelerate launch|deepspeed|mpirun)\b.*?"
    r"(?:--nproc[-_]per[-_]node|--num[-_]processes|--num_gpus|-np)[= ](?P<count>\d+)"
)


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
        gpus=None,
        evidence=tuple(entry for entry in finding.evidence if entry not in known),
        guesses=finding.guesses - set(_FACTS),
    )
    before = finding.cautions
    finding = add_beside(finding, survey.tree, ignored_paths(survey.root))
    sources = sources_of(finding, survey.tree)
    finding = add_network(finding, survey.tree, sources)
    finding = _with_python(survey, _with_share(_with_gpus(finding, survey.tree, sources)))
    return replace(finding, cautions=tuple(dict.fromkeys((*before, *finding.cautions))))


def _with_gpus(finding: Finding, tree: Tree, sources: Iterable[str]) -> Finding:
    told = re.search(_PROCESSES, finding.command)
    places = [("the command", told)] if told else []
    places += [(line.where, line.match) for path in sources for line in tree.find_all(path, _PROCESSES)]
    for where, match in places:
        if int(match["count"]) > 1:
            return finding.with_fact(Fact.GPUS, int(match["count"]), where, "it starts a process on each")
    return finding


def _with_share(finding: Finding) -> Finding:
    """What each run gets here: of a stranger's lab the whole machine, as outside the lab."""
    try:
        hardware = discover(None, 1 if finding.kind is Kind.OURS else None)
        share = share_in_words(hardware, finding.gpus or 1)
    except DeviceError:
        return finding
    if not is_cpu(hardware) and (finding.gpus or 1) > len(hardware):
        return finding.with_caution(f"a run is to have {finding.gpus} GPUs, and {len(hardware)} are here")
    why = "as on this machine without the lab" if finding.kind is not Kind.OURS else "its budget is CPU time"
    return finding.with_fact(Fact.SHARE, share, "this machine", f"{why}; [devices] shares it otherwise")


def _with_python(survey: Survey, finding: Finding) -> Finding:
    """Which Python {python} is: the lab's own, else the active one, else the tool's."""
    if not any(PYTHON in command for command in (finding.command, finding.setup, finding.checks)):
        return finding
    own, active = survey.root / ".venv", active_environment()
    if python_in(own).exists():
        return finding.with_fact(Fact.PYTHON, str(python_in(own)), ".venv", "the lab's own")
    if active is not None:
        return finding.with_fact(Fact.PYTHON, str(python_in(active)), "your shell", "the active environment")
    return finding.with_fact(
        Fact.PYTHON, sys.executable, "", "this tool's own, as none of yours is active here"
    )
