"""What a training run is confined to: its view of the file system, and the strongest sandbox that there is."""

from __future__ import annotations

from collections.abc import Sequence

from sessions.runs.contract import RunSpec
from sessions.sandbox.filesystem_view import View, programs_on
from sessions.sandbox.run_sandbox import Confinement, confined_argv, probe


def view_of(spec: RunSpec) -> View:
    """What the run of this spec may see."""
    watched = spec.has_referee and spec.referee is not None
    referee = (spec.referee,) if spec.referee is not None else ()
    cwd, hidden = spec.cwd.resolve(), tuple(path.resolve() for path in spec.hidden)
    programs = () if spec.has_referee else tuple(programs_on(spec.env.get("PATH", "")))
    readable = (*spec.readable, *spec.caches, *referee, *programs)
    return View(cwd, spec.env, readable, hidden, not watched, spec.device_file)


def wrap(argv: Sequence[str], spec: RunSpec, confinement: Confinement | None = None) -> list[str]:
    """`argv` inside the confinement that `spec` asks for and the machine offers."""
    grade = confinement if confinement is not None else confinement_of(spec)
    return confined_argv(grade, argv, view_of(spec))


def confinement_of(spec: RunSpec) -> Confinement:
    """What confines the runs of this spec on this machine."""
    return probe() if spec.sandbox else Confinement.NONE
