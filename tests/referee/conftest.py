"""A small corpus with multi-byte text, prepared once; the referee as a module afresh for each test."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.referee.hub import Hub, serving

PREPARE = Path(__file__).parents[2] / "prepare.py"
CORPUS = PREPARE.parent / "training" / "corpus.py"
WORDS = [
    "def",
    "return",
    "λ",
    "naïve",
    "größe",
    "日本語",
    "данные",
    "→",
    "🙂",
    "self",
    "value",
    "for",
    "None",
]


def clean_environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTORESEARCH_")}
    return (
        kept
        | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{PREPARE.parent}{os.pathsep}{CORPUS.parent}"}
        | variables
    )


def write_corpus(folder: Path, seed: int = 0) -> Path:
    dice = random.Random(seed)
    for number in range(60):
        lines = [" ".join(dice.choices(WORDS, k=9)) for _ in range(60)]
        blocks = ["\n    ".join(lines[start : start + 6]) for start in range(0, 60, 6)]
        path = folder / f"part{number % 5}" / f"{number:02d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def start_prepare(source: Path, cache: Path, **variables: str) -> subprocess.Popen[bytes]:
    """`python prepare.py` in a process of its own."""
    argv = [sys.executable, str(PREPARE), "--source", str(source), "--cache", str(cache)]
    return subprocess.Popen(argv, env=clean_environment(**variables), stdout=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    assert start_prepare(corpus, folder, RAYON_NUM_THREADS="1").wait(timeout=120) == 0
    return folder


@pytest.fixture
def start_preparing() -> Callable[..., subprocess.Popen[bytes]]:
    return start_prepare


@pytest.fixture
def referee(monkeypatch: pytest.MonkeyPatch, corpus: Path, cache: Path) -> Iterator[ModuleType]:
    """prepare.py, imported afresh: every test is a run of its own."""
    for name in [name for name in os.environ if name.startswith("AUTORESEARCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AUTORESEARCH_SOURCE", str(corpus))
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    monkeypatch.setenv("AUTORESEARCH_DEVICE", "cpu")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield load(PREPARE, monkeypatch)


@pytest.fixture
def corpus_code(referee: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """training/corpus.py, imported afresh, on that referee."""
    return load(CORPUS, monkeypatch)


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, path.stem, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@dataclass
class Ended:
    """A canvas that ran in a process of its own."""

    exit_code: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]


@dataclass
class Prepared:
    """What `python prepare.py` said."""

    exit_code: int | str | None
    stdout: str
    stderr: str


@pytest.fixture
def prepare_data(
    corpus_code: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[Path, Path], Prepared]:
    """`python prepare.py --source SOURCE --cache CACHE`, in this process: importing torch takes a second."""

    def prepare(source: Path, cache: Path) -> Prepared:
        monkeypatch.setattr(sys, "argv", ["prepare.py", "--source", str(source), "--cache", str(cache)])
        capfd.readouterr()
        try:
            code = corpus_code.main()
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        return Prepared(code, said.out, said.err)

    return prepare


MODEL = """
import os, sys, time
import torch
from torch import nn
import prepare

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(prepare.vocab_size, 8)
        self.head = nn.Linear(8, prepare.vocab_size)
    def forward(self, x):
        return self.head(self.embedding(x))

class Descent:  # torch.optim imports its compiler at the first step: two seconds that no test here is about
    @torch.no_grad()
    def step(self):
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    def zero_grad(self):
        for parameter in model.parameters():
            parameter.grad = None

model, optimizer = Model(), Descent()

def step(model, x, y):
    loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    return loss
"""
LOOP = """
for x, y in (stream := prepare.batches(2)):
    loss = step(model, x, y)
    optimizer.step()
    optimizer.zero_grad()
    prepare.watch(loss)
"""


def listen(ours: socket.socket, holdout: bytes, events: list[dict[str, Any]]) -> None:
    """Take in every event; answer the holdout phase as a runner does."""
    with ours.makefile("r", encoding="utf-8") as lines:
        for line in lines:
            events.append(json.loads(line))
            if events[-1].get("phase") == "holdout":
                ours.sendall(json.dumps({"tokens": len(holdout) // 2}).encode() + b"\n" + holdout)


@pytest.fixture
def run_canvas(tmp_path: Path, corpus: Path, cache: Path) -> Callable[..., Ended]:
    """Run a canvas: MODEL, then `body`; with an `assignment` it speaks over a real socket pair."""

    def run(
        body: str, assignment: dict[str, Any] | None = None, holdout: bytes = b"", **variables: str
    ) -> Ended:
        script = tmp_path / "train.py"
        script.write_text(MODEL + textwrap.dedent(body).replace("LOOP\n", LOOP))
        given = {"AUTORESEARCH_SOURCE": str(corpus), "AUTORESEARCH_CACHE": str(cache)}
        given |= {"AUTORESEARCH_DEVICE": "cpu", **variables}
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if assignment is not None:
                ours.sendall(json.dumps(assignment).encode() + b"\n")
                given["AUTORESEARCH_CHANNEL"] = str(theirs.fileno())
            process = subprocess.Popen(
                [sys.executable, str(script)],
                env=clean_environment(**given),
                pass_fds=[theirs.fileno()],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            theirs.close()
            events: list[dict[str, Any]] = []
            listener = threading.Thread(target=listen, args=(ours, holdout, events))
            listener.start()
            stdout, stderr = process.communicate(timeout=120)
            listener.join(timeout=30)
        return Ended(process.returncode, stdout, stderr, events)

    return run


@pytest.fixture
def assignment() -> dict[str, Any]:
    return {"seed": 42, "budget_s": 0.5, "clock": "cpu", "device": "cpu:0", "smoke": False}


def write_parquet(path: Path, rows: list[str | None], rows_a_group: int = 16) -> Path:
    """A parquet file with one column of text, in groups of so many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"text": pyarrow.array(rows, pyarrow.string())})
    pyarrow.parquet.write_table(table, path, row_group_size=rows_a_group)
    return path


def story(dice: random.Random, marker: str, lines: int = 24) -> str:
    return marker + "\n" + "\n".join(" ".join(dice.choices(WORDS, k=9)) for _ in range(lines))


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Four shards of climbmix, by name: two to train on, validation and holdout."""
    folder, made = tmp_path_factory.mktemp("shards"), {}
    for number in (0, 1, 6541, 6542):
        dice = random.Random(number)
        rows: list[str | None] = [story(dice, f"shard {number} row {row}") for row in range(100)]
        path = write_parquet(folder / f"shard_{number:05d}.parquet", rows)
        made[path.name] = path.read_bytes()
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, shards: dict[str, bytes]) -> Iterator[Hub]:
    with serving() as hub:
        hub.files = dict(shards)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield hub


@pytest.fixture
def fetcher(corpus_code: ModuleType, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The corpus's code with a cache of its own and a hub on loopback, in a hurry and in small bites."""
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus_code, "RETRY_PAUSE_S", 0.01)
    monkeypatch.setattr(corpus_code, "BLOCK_BYTES", 100)
    monkeypatch.setattr(corpus_code.referee, "VOCAB_SIZE", 512)
    monkeypatch.setattr(corpus_code.referee, "BOS", 511)
    return corpus_code
