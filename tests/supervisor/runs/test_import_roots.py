"""Whatever else says that it is the code under test: what runs is what lies in the bench."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.sandbox.filesystem_view import python_homes
from sessions.sandbox.run_sandbox import Confinement, probe
from supervisor.init.trial_run import trial
from supervisor.lab.config import LabConfig, LabSection
from supervisor.lab.paths import Lab, Layout
from supervisor.runs.import_roots import import_roots, python_path
from tests.worlds.labs import git

FILES = {
    "src/pkg/__init__.py": "",
    "src/pkg/model.py": "COST = 1.0\n",
    "scripts/measure.py": "from pkg.model import COST\nprint(f'cost: {COST}')\n",
    ".gitignore": ".venv\n",
}
STALE = "COST = 99.0\n"


@pytest.fixture(scope="module")
def lab_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A src-layout package with an environment of its own, whose checkout is not what was committed."""
    root = tmp_path_factory.mktemp("src-layout") / "lab"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "as it stands")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / ".venv")], check=True)
    (root / "src/pkg/model.py").write_text(STALE)
    return root


def site_packages(root: Path) -> Path:
    return next((root / ".venv").glob("lib/python*/site-packages"))


def installed_editable(root: Path) -> None:
    (site_packages(root) / "__editable__.pkg.pth").write_text(f"{root / 'src'}\n")


def installed_as_a_copy(root: Path) -> None:
    copy = site_packages(root) / "pkg"
    copy.mkdir()
    (copy / "__init__.py").touch()
    (copy / "model.py").write_text(STALE)


def found_by_an_editable_finder(root: Path) -> None:
    # As setuptools writes it for layouts that no plain path can say.
    finder = (
        "import sys\nfrom importlib.util import spec_from_file_location\n"
        "class Finder:\n    @classmethod\n    def find_spec(cls, name, path=None, target=None):\n"
        "        if name == 'pkg':\n"
        f"            return spec_from_file_location(name, {str(root)!r} + '/src/pkg/__init__.py')\n"
        "sys.meta_path.append(Finder)\n"
    )
    (site_packages(root) / "editable_finder.py").write_text(finder)
    (site_packages(root) / "editable.pth").write_text("import editable_finder\n")


@pytest.mark.parametrize("install", [installed_editable, installed_as_a_copy, found_by_an_editable_finder])
def test_an_installed_package_is_not_what_runs(
    lab_root: Path, install: Callable[[Path], None], request: pytest.FixtureRequest
) -> None:
    before = set(site_packages(lab_root).iterdir())
    install(lab_root)
    request.addfinalizer(lambda: [_remove(path) for path in set(site_packages(lab_root).iterdir()) - before])
    assert cost_of(lab_root, "{python} scripts/measure.py") == 1.0


def _remove(path: Path) -> None:
    subprocess.run(["rm", "-r", str(path)], check=True)


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'cd {root} && PYTHONPATH=src {python} scripts/measure.py'",
        "env PYTHONPATH={root}/src {python} scripts/measure.py",
        """sh -c 'cat {root}/src/pkg/model.py; sed -n "s/COST = /cost: /p" {root}/src/pkg/model.py'""",
    ],
)
def test_the_checkout_is_out_of_sight(lab_root: Path, command: str) -> None:
    if probe() not in (Confinement.BWRAP, Confinement.LANDLOCK):
        pytest.skip("nothing here confines what is read")
    assert cost_of(lab_root, command.replace("{root}", str(lab_root))) in (None, 1.0)


def test_what_an_environment_refers_to_is_not_opened_in_the_checkout(lab_root: Path) -> None:
    file = site_packages(lab_root) / "two.pth"
    file.write_text(f"{lab_root / 'src'}\n/elsewhere/src\n")
    homes = python_homes(str(lab_root / ".venv/bin/python"), (lab_root,))
    file.unlink()
    assert Path("/elsewhere/src") in homes and lab_root / ".venv" in homes
    assert lab_root / "src" not in homes


def cost_of(root: Path, command: str) -> float | None:
    section = LabSection(editable=("src/pkg/model.py",), command=command, setup="", timeout_s=20)
    with trial(root, "main", LabConfig(lab=section)) as made:
        return made.run("cost", "", lambda _: None).value_of("cost")


@pytest.mark.parametrize(
    ("file", "text", "root"),
    [
        ("pyproject.toml", '[tool.setuptools.packages.find]\nwhere = ["lib"]\n', "lib"),
        ("pyproject.toml", '[tool.setuptools.package-dir]\n"" = "lib"\n', "lib"),
        ("pyproject.toml", '[[tool.poetry.packages]]\ninclude = "pkg"\nfrom = "lib"\n', "lib"),
        ("pyproject.toml", '[tool.hatch.build.targets.wheel]\npackages = ["lib/pkg"]\n', "lib"),
        ("pyproject.toml", '[tool.maturin]\npython-source = "lib"\n', "lib"),
        ("pyproject.toml", '[tool.uv.build-backend]\nmodule-root = "lib"\n', "lib"),
        ("setup.cfg", "[options]\npackage_dir =\n    = lib\n", "lib"),
        ("setup.py", 'setup(package_dir={"": "lib"})\n', "lib"),
        ("packages/core/mine/pkg/__init__.py", "", "packages/core"),  # of the editable file
    ],
)
def test_where_a_project_says_that_its_packages_lie(tmp_path: Path, file: str, text: str, root: str) -> None:
    editable = ("packages/core/mine/pkg/model.py",)
    for name, content in {
        "packages/core/mine/__init__.py": "",
        "lib/pkg/__init__.py": "",
        file: text,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert tmp_path / root in import_roots(lab_at(tmp_path, editable), tmp_path).folders


def test_nothing_stands_in_for_the_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "__init__.py").touch()
    lab = lab_at(tmp_path, ("a.py",), env=("PYTHONPATH",))
    assert import_roots(lab, tmp_path).folders == (tmp_path, tmp_path / "src")
    (tmp_path / "src" / "queue.py").touch()
    assert import_roots(lab, tmp_path).folders == (tmp_path,)
    bench = tmp_path / "bench"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "own"), "/elsewhere")))
    assert python_path(lab, bench, Path("/referee")) == f"/referee:{bench}/own:/elsewhere"


def lab_at(root: Path, editable: tuple[str, ...], env: tuple[str, ...] = ()) -> Lab:
    config = LabConfig(lab=LabSection(editable=editable, env=env))
    return Lab(root, root / ".autoresearch", config, Layout.CUSTOM, has_referee=False)
