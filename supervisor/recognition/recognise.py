"""The recognisers in turn: the surest of those that know the repository."""

from __future__ import annotations

from collections.abc import Callable

from supervisor.recognition import auto_folder, compiled, ours, pairs, script, tutorial, upstream
from supervisor.recognition.finding import Finding
from supervisor.recognition.tree import Tree

SURE = 0.9

RECOGNISERS: tuple[Callable[[Tree], Finding | None], ...] = (
    ours.recognise,
    auto_folder.recognise,
    upstream.recognise,
    tutorial.recognise,
    pairs.recognise,
    compiled.recognise,
    script.recognise,
)


def recognise(tree: Tree) -> Finding | None:
    """What the repository is, by the surest recogniser that knows it; None when none does.

    A finding may lack what its files don't tell, see `Finding.missing`.
    """
    found = [finding for look in RECOGNISERS if (finding := look(tree)) is not None]
    # A likely kind that leaves questions open gives way to a less likely one that leaves none; a sure kind does not.
    whole = [finding for finding in found if not finding.missing or finding.confidence >= SURE]
    return max(whole or found, key=lambda finding: finding.confidence, default=None)
