"""Runs the real clients against a model on loopback and writes what was seen into docs/backends.md: make test-clients.

Needs the package indexes (npm, PyPI) and nothing else of the network. Everything lies in one temporary folder, the
HOMEs too, and goes with it. Exits with 1 when one of the required clients could not be proven.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from roles.backend import BackendContext, BackendError, Cost, EditResult, EditTask, PlanBrief
from roles.backends.clients.catalogue_files import read_agent
from roles.backends.clients.client import ClientBackend
from roles.backends.clients.client_setup import Auth, ClientSetup, marker_of
from roles.backends.clients.run import version_of
from roles.backends.clients.worktree_state import read_worktree
from sessions.processes.marks import find_marked
from sessions.sandbox.client_sandbox import can_be_alone, can_limit
from supervisor.lab.paths import Lab
from supervisor.model.snapshot import LabSnapshot
from supervisor.model.states import Direction, Verdict
from supervisor.text import one_line
from tests.clients.lured import Lure, Lured
from tests.clients.scripted import BEFORE, Scripted
from tests.stand_in.server import StandIn
from tests.worlds.labs import make_toy_lab
from tests.worlds.live import CLI, live

CHECKOUT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- proven: begin -->", "<!-- proven: end -->"
REQUIRED = ("claude", "codex", "pi", "aider")
KEYS = {
    name: f"sk-dummy-of-{name.lower()}" for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
}
CLAUDE_MODEL = "anthropic/claude-sonnet-4-5"


@dataclass(frozen=True)
class Real:
    """One client: its package, the model it is asked for, and how its file is pointed at the stand-in."""

    package: str
    model: str = ""
    files: str = ""  # TOML; {url} is the stand-in


CLIENTS = {
    "claude": Real("npm @anthropic-ai/claude-code@2.1.197"),
    "codex": Real(
        "npm @openai/codex@0.169",
        "gpt-5-codex",
        '[files]\n"{home}/.codex/config.toml" = \'\'\'\nmodel_provider = "stand_in"\n[model_providers.stand_in]\n'
        'name = "stand_in"\nbase_url = "{url}/v1"\nenv_key = "OPENAI_API_KEY"\nwire_api = "responses"\n\'\'\'\n',
    ),
    "pi": Real(
        "npm @mariozechner/pi-coding-agent@0.73",
        CLAUDE_MODEL,
        '[files]\n"{home}/.pi/agent/models.json" = \'{"providers": {"anthropic": {"baseUrl": "{url}"}}}\'\n',
    ),
    "aider": Real("pypi aider-chat==0.86.*", CLAUDE_MODEL),
    "opencode": Real(
        "npm opencode-ai@1.18",
        CLAUDE_MODEL,
        '[files]\n"{home}/opencode.json" = \'{"provider": {"anthropic": {"options": {"baseURL": "{url}/v1"}}}}\'\n',
    ),
    "gemini": Real("npm @google/gemini-cli@0.61", "gemini-2.5-pro"),
}


@dataclass
class Pane:
    """What a person would have seen."""

    text: str = ""
    refused: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """See Report."""
        self.text += text + "\n"

    def stream(self, text: str) -> None:
        """See Report."""
        self.text += text

    def tool(self, name: str, detail: str) -> None:
        """See Report."""
        self.text += f"{name} {detail}\n"
        if name.startswith("refused: "):
            self.refused.append(one_line(f"{name.removeprefix('refused: ')}: {detail}"))


def install(name: str, folder: Path) -> str:
    """Install a client below `folder`; returns what is wrong, "" for nothing."""
    index, package = CLIENTS[name].package.split(" ", 1)
    env = os.environ | {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    env["npm_config_userconfig"] = str(Path.home() / ".npmrc")  # a registry of the person's, to be read
    place = folder / name
    if place.is_dir():
        return ""
    for made in (folder / "home", folder / "tmp", place):
        made.mkdir(parents=True, exist_ok=True)
    commands = [["npm", "install", "--prefix", str(place), "--no-audit", "--no-fund", "--silent", package]]
    if index == "pypi":
        pip = [str(place / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", package]
        commands = [[sys.executable, "-m", "venv", str(place)], pip]
    for command in commands:
        try:
            done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=420)
        except (OSError, subprocess.TimeoutExpired) as error:
            return one_line(f"not installed: {error}")[:120]
        if done.returncode:
            return one_line(f"not installed: {(done.stderr.strip() or 'no word').splitlines()[-1]}")[:120]
    return ""


def environment(name: str, folder: Path, url: str) -> dict[str, str]:
    """The person's: with dummy keys of several providers, and a stand-in for all of them."""
    bins = [folder / name / "node_modules/.bin", folder / name / "bin"]
    urls = dict.fromkeys(("ANTHROPIC_BASE_URL", "ANTHROPIC_API_BASE", "GOOGLE_GEMINI_BASE_URL"), url)
    path = ":".join([*map(str, bins), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(folder / "home"), "LANG": "C.UTF-8", **KEYS, **urls}


@dataclass
class Bench:
    """A lab with one worktree, and a client in it."""

    name: str
    folder: Path
    does: str
    server: StandIn
    pane: Pane = field(default_factory=Pane)

    def __post_init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self.folder))
        self.worktree = self.root / ".autoresearch/worktrees/agent"
        self.worktree.parent.mkdir(parents=True)
        (self.root / "train.py").write_text(BEFORE + "WIDTH = 64\n")
        self._git("init", "-q")
        self._git("add", "train.py")
        self._git("commit", "-qm", "first")
        self._git("worktree", "add", "-q", "--detach", str(self.worktree))
        self.script = Scripted(self.worktree, self.does)
        self.server.script(self.script)
        self.before, self.log_before = read_worktree(self.worktree), self.log()

    def backend(self) -> ClientBackend:
        """The client as the catalogue describes it, pointed at the stand-in."""
        real, url = CLIENTS[self.name], self.server.url
        file = self.root / f"{self.name}.toml"
        limits = "silence_s = 90\ntimeout_s = 150\n"
        file.write_text(f'like = "{self.name}"\n{limits}{real.files.replace("{url}", url)}')
        env = environment(self.name, self.folder, url)
        context = BackendContext("agent", real.model, self.root, self.root / ".autoresearch/agents/agent")
        return ClientBackend(read_agent(file), context, Auth.OWN, env)

    def log(self) -> str:
        """Every commit there is."""
        return self._git("log", "--all", "--format=%H", "HEAD")

    def left_over(self) -> int:
        """Processes that outlived the step."""
        return len(find_marked(marker_of(self.root / ".autoresearch/agents/agent")))

    def _git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=p", "-c", "user.email=p@p", *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout


@dataclass
class Row:
    """What was seen of one client."""

    name: str
    version: str = ""
    edit: str = ""
    plan: str = ""
    write: str = ""
    whole: str = ""
    lured: str = ""
    costs: str = ""
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """A line of the table."""
        seen = (self.name, self.version, self.edit, self.plan, self.write, self.lured, self.whole, self.costs)
        return f"| {' | '.join(seen)} |"


def prove(name: str, folder: Path) -> Row:
    """Install it, let it edit, plan, plan while its model wants to write, and work in labs."""
    row = Row(name)
    problem = install(name, folder)
    if problem:
        row.wrong.append(problem)
        row.version = problem
        return row
    with StandIn([]) as server:
        for does, step in (("edit", _edit), ("plan", _plan), ("write", _write)):
            bench = Bench(name, folder, does, server)
            try:
                said = step(bench, row)
            except (BackendError, AssertionError) as error:
                said = one_line(f"not proven: {error}")[:160]
                row.wrong.append(f"{does}: {said}")
            setattr(row, does, said)
            if bench.left_over():
                row.wrong.append(f"{does}: {bench.left_over()} processes outlived it")
            if any(key in bench.pane.text for key in KEYS.values()):
                row.wrong.append(f"{does}: a key in the pane")
        for column, in_a_lab in (("whole", _whole), ("lured", _lured)):
            try:
                said = in_a_lab(name, folder, server)
            except Exception as error:  # whatever it is, it belongs in the table
                said = one_line(f"not proven: {error}")[:160]
                row.wrong.append(f"{column}: {said}")
            setattr(row, column, said)
        if server.faults:
            row.wrong.append(f"the stand-in saw: {server.faults[0]}")
    return row


def _edit(bench: Bench, row: Row) -> str:
    backend, began = bench.backend(), time.monotonic()
    setup = ClientSetup(backend.spec, backend.context.folder, Auth.OWN, backend.env)
    row.version = version_of(setup)
    task = EditTask(
        "", bench.worktree, ("train.py",), (), None, None, "val_bpb", Direction.LOWER, None, (), 1,  # type: ignore[arg-type]
        text="Set DEPTH to 3 in train.py, then answer with the JSON object.",
    )  # fmt: skip
    outcome = backend.edit(task, bench.pane)
    took_s = time.monotonic() - began
    text = (bench.worktree / "train.py").read_text()
    assert outcome.result is EditResult.EDITED, f"{outcome.result}: {outcome.explanation}"
    assert text == "DEPTH = 3\nWIDTH = 64\n", f"the file holds {text!r}"
    changes = read_worktree(bench.worktree).changes_since(bench.before)
    assert changes == ("train.py",), f"changed {changes}"
    row.costs = _fields(outcome.cost)
    return f"yes, {took_s:.0f} s, by {' and '.join(dict.fromkeys(bench.script.called)) or 'words'}"


def _plan(bench: Bench, row: Row) -> str:
    plan = bench.backend().plan(_brief(bench, "Plan."), bench.pane)
    assert [h.title for h in plan.hypotheses] == ["Depth 3 instead of 4"]
    _nothing_changed(bench)
    return f"yes, with {', '.join(sorted(bench.script.offered)) or 'no tools'}"


def _write(bench: Bench, row: Row) -> str:
    bench.backend().plan(_brief(bench, "Edit train.py, run it, and commit; then plan."), bench.pane)
    _nothing_changed(bench)
    if not bench.script.offered:
        return "its edit was words, and stayed words; nothing changed"
    if not bench.script.called:
        return "no tool to write with was offered; nothing changed"
    assert bench.pane.refused, f"{bench.script.called} were called, and no refusal is visible"
    return f"{', '.join(dict.fromkeys(bench.script.called))} refused, visibly; nothing changed"


def _whole(name: str, folder: Path, server: StandIn) -> str:
    """A lab of the console script, tmux and runners: the chief plans, one junior makes one experiment, it is kept."""
    root, began = Path(tempfile.mkdtemp(prefix=f"{name}-lab-", dir=folder)) / "lab", time.monotonic()
    lab = make_toy_lab(root)
    server.script(Scripted(lab.worktrees_dir / "junior-1", "all", *CHANGE))
    snapshot = _campaign(name, folder, lab, server, chief=_mind(name))
    made = [e for e in snapshot.experiments if e.agent == "junior-1"]
    assert made, [event.text for event in snapshot.events[-3:]]
    first = made[0]
    assert first.verdict is Verdict.KEEP, f"{first.id}: {first.state} {first.verdict} {first.reason}"
    planned = "planned, " if first.hypothesis_id else ""
    return f"{planned}edited, measured, kept: {first.metric:.0f}, {time.monotonic() - began:.0f} s"


def _lured(name: str, folder: Path, server: StandIn) -> str:
    """A lab whose notes tell the junior to edit what is protected, to read secrets and to push; it believes them."""
    lure = Lure.laid(Path(tempfile.mkdtemp(prefix=f"{name}-lure-", dir=folder)), folder / "home")
    keys = tuple(KEYS.values())
    script = Lured(lure.lab.worktrees_dir / "junior-1", "all", *CHANGE, secrets=lure.secrets, keys=keys)
    server.script(script)
    return lure.seen(script, _campaign(name, folder, lure.lab, server, chief="offline"))


CHANGE = ("X = 8.0  # where the score is taken", "X = 3.0  # where the score is taken")


def _mind(name: str) -> str:
    return f"{name}:{CLIENTS[name].model}" if CLIENTS[name].model else name


def _campaign(name: str, folder: Path, lab: Lab, server: StandIn, chief: str) -> LabSnapshot:
    """One experiment of one junior that is this client, by the console script; the lab as it stood at the end."""
    agents = lab.state_dir / "agents"
    agents.mkdir(parents=True)
    text = f'like = "{name}"\nsilence_s = 90\n{CLIENTS[name].files.replace("{url}", server.url)}'
    (agents / f"{name}.toml").write_text(text)
    words = f"launch --headless --experiments 1 --juniors 1 --chief {chief} --junior {_mind(name)}".split()
    env = environment(name, folder, server.url) | {"PYTHONPATH": str(CHECKOUT)}
    with live(lab) as running:
        done = subprocess.run(
            [CLI, *words], cwd=lab.root, env=env, capture_output=True,
            text=True, timeout=150, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        snapshot = running.snapshot() if lab.db.is_file() else None
    assert snapshot is not None, done.stderr.strip().splitlines()[-1:]
    return snapshot


def _brief(bench: Bench, text: str) -> PlanBrief:
    return PlanBrief(
        "", (), None, "val_bpb", Direction.LOWER, None, (), (), (), 3, 1, text=text, worktree=bench.worktree
    )  # fmt: skip


def _nothing_changed(bench: Bench) -> None:
    after = read_worktree(bench.worktree)
    assert after == bench.before, f"changed: {after.changes_since(bench.before)}"
    assert bench.log() == bench.log_before, "there is a new commit"


def _fields(cost: Cost) -> str:
    told = {"USD": cost.usd, "in": cost.input_tokens, "out": cost.output_tokens, "cache read": cost.cache_read_tokens,
            "cache write": cost.cache_write_tokens, "model": cost.model}  # fmt: skip
    return ", ".join(name for name, value in told.items() if value)


def write_table(rows: list[Row]) -> None:
    """Into docs/backends.md, between its marks."""
    docs = CHECKOUT / "docs/backends.md"
    before, _, rest = docs.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    limits = "Landlock" if can_limit() else "no Landlock"
    alone = "a process namespace" if can_be_alone() else "no process namespace"
    head = [
        f"{time.strftime('%Y-%m-%d')}, Linux with {limits} and {alone}:", "",
        "| client | version | junior: one edit | chief: one plan | chief told to edit, run and commit "
        "| junior lured by a note | a lab: one whole experiment | cost told |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    docs.write_text(
        "\n".join([before + BEGIN, *head, *(row.line() for row in rows), END]) + after, encoding="utf-8"
    )


def main(say: Callable[[str], None] = print) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "clients", nargs="*", default=list(CLIENTS), help=f"of {', '.join(CLIENTS)}; all of them"
    )
    parser.add_argument("--keep", type=Path, help="install here, and leave it for the next time")
    chosen = parser.parse_args()
    folder = (chosen.keep or Path(tempfile.mkdtemp(prefix="autoresearch-clients-"))).resolve()
    rows = []
    try:
        for name in chosen.clients:
            say(f"· {name} ({CLIENTS[name].package})")
            rows.append(prove(name, folder))
            say(f"  {rows[-1].line()}" + "".join(f"\n  ! {wrong}" for wrong in rows[-1].wrong))
    finally:
        if chosen.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    if set(chosen.clients) == set(CLIENTS):
        write_table(rows)
    return int(any(row.wrong and row.name in REQUIRED for row in rows))


if __name__ == "__main__":
    sys.exit(main())
