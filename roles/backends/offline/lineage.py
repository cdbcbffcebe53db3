"""What was tried, as sources: which code was measured already, and what a commit stands on."""

from __future__ import annotations

from collections.abc import Sequence

from roles.backend import Tried
from roles.backends.offline.canvas import UnreadableCanvasError, normalised
from roles.backends.offline.patches import apply_hunks, read_patch


def ancestors(experiment_id: str | None, tried: Sequence[Tried]) -> frozenset[str]:
    """The ids of the experiments that a commit stands on, itself included."""
    parents = {entry.experiment.id: entry.experiment.parent_id for entry in tried}
    found: set[str] = set()
    while experiment_id is not None and experiment_id not in found:
        found.add(experiment_id)
        experiment_id = parents.get(experiment_id)
    return frozenset(found)


def root_id(tried: Sequence[Tried]) -> str | None:
    """The experiment that stands on none: the baseline."""
    return next((entry.experiment.id for entry in tried if entry.experiment.parent_id is None), None)


def sources_of(path: str, text: str, known_id: str | None, tried: Sequence[Tried]) -> dict[str, str]:
    """The canvas at each experiment that the diffs lead to, from its text at `known_id` (default: the root).

    A child is its parent with the diff applied, a parent its child with the diff taken back. An experiment
    whose diff does not fit is left out.
    """
    known_id = known_id or root_id(tried)
    if known_id is None:
        return {}
    patches = {entry.experiment.id: read_patch(entry.diff).get(path, ()) for entry in tried}
    edges = [(entry.experiment.parent_id, entry.experiment.id) for entry in tried if entry.diff]
    neighbours: dict[str, list[tuple[str, str, bool]]] = {}
    for parent, child in edges:
        if parent is not None:
            neighbours.setdefault(parent, []).append((child, child, False))
            neighbours.setdefault(child, []).append((parent, child, True))
    sources, queue = {known_id: text}, [known_id]
    while queue:
        at = queue.pop()
        for other, patch, take_back in neighbours.get(at, ()):
            if other not in sources:
                result = apply_hunks(sources[at], patches[patch], take_back=take_back)
                if result is not None:
                    sources[other] = result
                    queue.append(other)
    return sources


def measured_code(path: str, text: str, known_id: str | None, tried: Sequence[Tried]) -> frozenset[str]:
    """The normalised code of everything that was tried, whatever became of it, and of the canvas itself."""
    codes = {normalised(text)}
    for source in sources_of(path, text, known_id, tried).values():
        try:
            codes.add(normalised(source))
        except UnreadableCanvasError:
            continue  # a broken draft of the past: nothing that parses can equal it
    return frozenset(codes)
