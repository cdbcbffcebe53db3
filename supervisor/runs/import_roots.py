"""Where Python finds the code under test: in the bench that runs, before any copy that is installed somewhere."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.lab.ignored_files import SET_UP_BENCH
from supervisor.lab.paths import Lab
from supervisor.lab.programs import lab_python

_USUAL = ("", "src")
# Of the standard library, yet nothing that a program needs: many repositories have a folder `test`.
_HARMLESS = frozenset({"test", "this", "antigravity", "turtle", "turtledemo", "idlelib"})
_STANDARD = sys.stdlib_module_names - _HARMLESS
_PACKAGE_DIR = re.compile(
    r"""package_dir\s*=\s*(?:\{\s*["']{2}\s*:\s*["']([\w./-]+)["']|\s*=\s*([\w./-]+))"""
)


@dataclass(frozen=True, slots=True)
class ImportRoots:
    """What a run's interpreter is told of where modules lie."""

    folders: tuple[Path, ...]  # of the bench, for PYTHONPATH
    readable: tuple[Path, ...]  # of the checkout: what the environment refers to, and git does not have


def import_roots(lab: Lab, bench: Path) -> ImportRoots:
    """The bench's own folders of modules, by convention, by its project file, and by what the environment names.

    A folder with a module that is called as one of the standard library's stays out: it would stand in for it.
    """
    folders = dict.fromkeys(bench / name for name in (*_USUAL, *_declared(bench), *_of_editable(lab, bench)))
    readable = []
    for checkout, path in _paths_into_checkout(lab):
        twin = _top_of(lab, bench) / path.relative_to(checkout)
        if twin.is_dir():
            folders[twin] = None
        elif path.is_dir() and checkout == lab.top:
            readable.append(path)
    own = tuple(folder for folder in folders if folder.is_dir() and not _stands_in(folder))
    return ImportRoots(own, tuple(readable))


def _top_of(lab: Lab, bench: Path) -> Path:
    """The top of the checkout whose folder of the lab `bench` is."""
    return Path(*bench.parts[: len(bench.parts) - len(Path(lab.folder).parts)])


def python_path(lab: Lab, bench: Path, first: Path) -> str:
    """PYTHONPATH: `first`, then the bench's folders, then the person's own if the lab asks for them."""
    folders = [first, *import_roots(lab, bench).folders]
    if "PYTHONPATH" in lab.config.lab.env:
        named = (Path(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)
        folders += [bench / p.relative_to(lab.root) if p.is_relative_to(lab.root) else p for p in named]
    return os.pathsep.join(map(str, dict.fromkeys(folders)))


def _declared(bench: Path) -> Iterator[str]:
    """What the project's files say of where its packages lie, in the words of each build system."""
    try:
        project = tomllib.loads((bench / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        project = {}
    tool = _table(project, "tool")
    setuptools = _table(tool, "setuptools")
    yield from _strings(_table(setuptools, "packages", "find").get("where"))
    yield from _strings(_table(setuptools, "package-dir").get(""))
    yield from _strings(
        [p.get("from", "") for p in _list(_table(tool, "poetry").get("packages")) if "from" in p]
    )
    wheel = _table(tool, "hatch", "build", "targets", "wheel")
    yield from (str(Path(package).parent) for package in _strings(wheel.get("packages")))
    yield from _strings(wheel.get("sources"))
    yield from _strings(_table(tool, "maturin").get("python-source"))
    yield from _strings(_table(tool, "pdm", "build").get("package-dir"))
    yield from _strings(_table(tool, "uv", "build-backend").get("module-root"))
    for name in ("setup.py", "setup.cfg"):
        file = bench / name
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        yield from (found[1] or found[2] for found in _PACKAGE_DIR.finditer(text))


def _of_editable(lab: Lab, bench: Path) -> Iterator[str]:
    """The folder above the outermost package that an editable module lies in."""
    for path in map(lab.within, lab.config.lab.editable):
        folder = (bench / path).parent
        if not path.endswith(".py") or not (folder / "__init__.py").is_file():
            continue
        while (folder / "__init__.py").is_file() and folder != bench:
            folder = folder.parent
        yield str(folder.relative_to(bench))


def _paths_into_checkout(lab: Lab) -> Iterator[tuple[Path, Path]]:
    """What .pth files of the lab's environments name below a checkout of the lab: (the checkout, the folder)."""
    environments = {Path(lab_python(lab)).parent.parent, lab.uv_environment}
    checkouts = (lab.benches_dir / SET_UP_BENCH, lab.top)  # the first may lie inside the second
    for environment in filter(None, environments):
        for file in environment.glob("lib/python*/site-packages/*.pth"):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            for path in (Path(line.strip()) for line in lines if line.startswith("/")):
                checkout = next((c for c in checkouts if path.is_relative_to(c)), None)
                if checkout is not None and not path.is_relative_to(environment):
                    yield checkout, path


def _stands_in(folder: Path) -> bool:
    return any(
        child.stem in _STANDARD and (child.suffix == ".py" or (child / "__init__.py").is_file())
        for child in folder.iterdir()
    )


def _table(value: Any, *names: str) -> dict[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> Iterator[str]:
    values = value if isinstance(value, list) else [value]
    # Nothing outside the bench is its code.
    inside = (
        v for v in values if isinstance(v, str) and v and not v.startswith("/") and ".." not in Path(v).parts
    )
    yield from inside
