"""What a training run is confined to: its view of the file system, a home of its own, the strongest sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sessions.runs.contract import RunSpec
from sessions.sandbox.filesystem_view import View, programs_on
from sessions.sandbox.run_sandbox import Confinement, confined_argv, probe


def view_of(spec: RunSpec) -> View:
    """What the run of this spec may see."""
    watched = spec.has_referee and spec.referee is not None
    referee = (spec.referee,) if spec.referee is not None else ()
    cwd, hidden = spec.cwd.resolve(), tuple(path.resolve() for path in spec.hidden)
    programs = () if spec.has_referee else tuple(programs_on(spec.env.get("PATH", ""), hidden))
    readable = (*spec.readable, *spec.caches, *referee, *programs)
    # The referee's own lab starts no servers: its runs have no interface at all.
    return View(
        cwd, spec.env, readable, hidden, not watched, spec.device_files, spec.network, not spec.has_referee
    )


def wrap(argv: Sequence[str], spec: RunSpec, confinement: Confinement | None = None) -> list[str]:
    """`argv` inside the confinement that `spec` asks for and the machine offers."""
    grade = confinement if confinement is not None else confinement_of(spec)
    return confined_argv(grade, argv, view_of(spec))


def confinement_of(spec: RunSpec) -> Confinement:
    """What confines the runs of this spec on this machine."""
    return probe() if spec.sandbox else Confinement.NONE


def make_private_home(folder: Path, caches: Sequence[Path] = ()) -> dict[str, str]:
    """A fresh home and temporary folder for one trainer process; returns the variables that name them.

    What a smoke run leaves in them, a cache or a trap, never reaches the run; the caches of compilers (inductor,
    Triton, C++ extensions) lie in them by default. `caches`: folders of the person's that the command looks for
    below its HOME. Raises OSError.
    """
    shutil.rmtree(folder, ignore_errors=True)  # of an attempt that was killed
    home, tmp, persons = folder.resolve() / "home", folder.resolve() / "tmp", Path.home()
    for path in (home, tmp):
        path.mkdir(parents=True, mode=0o700)
    for cache in caches:
        if cache != persons and cache.is_relative_to(persons):
            link = home / cache.relative_to(persons)
            link.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(link):
                link.symlink_to(cache)
    return {"HOME": str(home), "TMPDIR": str(tmp)}
