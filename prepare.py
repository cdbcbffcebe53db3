"""The referee: data, tokenizer, clock, seed and evaluation. Nobody edits it during a run.

    python prepare.py                    prepare the data, or check what is there and mend it
    python prepare.py --source ~/texts   prepare another source

The canvas (training/train.py) sees a run in this order, and nothing else of it:

    prepare.seed, .device, .vocab_size, .sequence_length      what this run was given
    prepare.warm_up(model, train_step, batch_size)            optional: compile off the clock
    for x, y in (stream := prepare.batches(batch_size)):      the clock: first batch to end of budget
        prepare.watch(loss)                                   every few steps; stream.fraction for schedules
    prepare.finish(model)                                     probes, val_bpb, the one report

Evaluation calls `logits = model(x)`: x is int64 [B, T], logits are [B, T, vocab_size], targets are never handed over.
Files are in ~/.cache/autoresearch-tui/<fingerprint>, or below AUTORESEARCH_CACHE.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import fcntl
import hashlib
import json
import math
import os
import platform
import random
import re
import resource
import shutil
import socket
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

# ----------------------------------------------------------------------------------------------------------
# What this lab measures. A change here makes a new setting: scores before and after are never ranked together.
# ----------------------------------------------------------------------------------------------------------

DATA_SOURCE = (
    "python"  # "python": the standard library's own source; or an absolute path to a file or folder of text
)
VOCAB_SIZE = 2048  # the last id is BOS, all others are byte-level BPE
MAX_SEQ_LEN = 128  # context length of the evaluation, and of the training batches unless they ask for another
EVAL_TOKENS = 2**17  # validation tokens that are scored, the same ones in the same order every time
VAL_PERCENT, HOLDOUT_PERCENT = 8, 8  # shares of the documents
CHUNK_CHARS = 2048  # documents are cut into chunks of at most this, at top-level boundaries first
TOKENIZER_CHARS = 2**26  # the tokenizer learns from this much training text at most
DATA_FORMAT = 1  # goes up whenever this file would write other bytes for the same text

BY_HAND_SEED = 1337
BY_HAND_BUDGET_S = {"cpu": 20.0, "wall": 300.0}
WARM_UP_CAP_S = 120.0  # what warm_up takes beyond this comes out of the budget
OVERRUN_S, OVERRUN_SHARE = 1.0, 0.1  # by how much a run may pass its budget: a last step has to end
EXPLODED_LOSS = 100.0  # nats per token; a uniform guess is ln(VOCAB_SIZE), about 7.6
SMOKE_BATCHES = 3
EVAL_BATCH_TOKENS = 8192

BOS = VOCAB_SIZE - 1
vocab_size, sequence_length = VOCAB_SIZE, MAX_SEQ_LEN
seed: int  # of this run; it, and `device`, exist once they are asked for: see __getattr__
device: str  # "cpu", "cuda:0" or "mps": where the batches are


class RefereeError(Exception):
    """Ends the run with one line and no traceback."""


class DataError(RefereeError):
    """The data is missing, damaged or cannot be made; the text says what to do."""


class Diverged(RefereeError):  # noqa: N818 - it names what happened
    """The loss or the logits are no longer numbers worth going on with."""


class Rejected(RefereeError):  # noqa: N818 - it names a verdict
    """A probe said no: the model is not a causal language model, or it overran the clock."""


# ----------------------------------------------------------------------------------------------------------
# Sources: where documents come from. Another kind is one more entry of SOURCES.
# ----------------------------------------------------------------------------------------------------------

Document = tuple[str, str]  # its name, which decides its split, and its text
SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
SECTION_CHARS = 2**16  # a single file is cut into sections of this, so that all splits get some of it


@dataclass(frozen=True)
class Source:
    """A corpus: what it is on this machine, and its documents in any order."""

    identity: str
    read: Callable[[], Iterator[Document]]


def python_source() -> Source:
    """The standard library without its tests: real text that is on every machine, 11 to 12 MB."""
    root = Path(sysconfig.get_path("stdlib"))

    def read() -> Iterator[Document]:
        for path in sorted(root.rglob("*.py")):
            name = path.relative_to(root)
            # _sysconfigdata says how this very interpreter was compiled.
            if SKIPPED_FOLDERS.isdisjoint(name.parts) and not name.name.startswith("_sysconfigdata"):
                yield name.as_posix(), read_text(path)

    return Source(f"python {platform.python_version()} {root}", read)


def path_source(root: Path) -> Source:
    """A text file, cut into sections, or every text file of a folder; hidden and binary files are passed over."""

    def read() -> Iterator[Document]:
        if root.is_file():
            text = read_text(root)
            for start in range(0, len(text), SECTION_CHARS):
                yield f"{start // SECTION_CHARS:08d}", text[start : start + SECTION_CHARS]
            return
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not any(part.startswith(".") for part in name.parts):
                text = read_text(path)
                if "\0" not in text:
                    yield name.as_posix(), text

    return Source(str(root), read)


SOURCES: dict[str, Callable[[], Source]] = {"python": python_source}


def find_source(name: str) -> Source:
    """The source called `name`, or the one at that path."""
    return SOURCES[name]() if name in SOURCES else path_source(Path(name).expanduser().resolve())


def read_text(path: Path) -> str:
    """The file as text; bytes that are not UTF-8 become U+FFFD."""
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def sha256(data: str | bytes) -> str:
    """The hash of some text or bytes, in hex."""
    return hashlib.sha256(data.encode("utf-8") if isinstance(data, str) else data).hexdigest()


def read_documents(source: Source) -> list[Document]:
    """All documents in the order of their names' hashes, so that the head of a split is a fair sample of it."""
    try:
        documents = [document for document in source.read() if document[1].strip()]
    except OSError as error:
        raise DataError(f"cannot read the data source: {error}") from error
    if not documents:
        raise DataError(f"no text in the data source {source.identity}")
    return sorted(documents, key=lambda document: sha256(document[0]))


def split_of(name: str) -> str:
    """The split of a document, by its name alone: it stays there whatever else the corpus holds."""
    share = int(sha256(name)[:8], 16) % 100
    if share < VAL_PERCENT:
        return "val"
    return "holdout" if share < VAL_PERCENT + HOLDOUT_PERCENT else "train"


def cut(text: str) -> list[str]:
    """Chunks of at most CHUNK_CHARS that joined give `text`: cut before top-level blocks, else lines, else anywhere."""
    boundaries = (r"(?<=\n\n)(?=\S)", r"(?<=\n)")

    def pack(text: str, level: int) -> list[str]:
        if len(text) <= CHUNK_CHARS:
            return [text]
        if level == len(boundaries):
            return [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]
        packed = [""]
        for block in re.split(boundaries[level], text):
            for piece in pack(block, level + 1):
                if len(packed[-1]) + len(piece) > CHUNK_CHARS:
                    packed.append("")
                packed[-1] += piece
        return [chunk for chunk in packed if chunk]

    return pack(text, 0)


# ----------------------------------------------------------------------------------------------------------
# Preparing: documents → tokenizer → one array of tokens per split, in a folder named by what is in it.
# ----------------------------------------------------------------------------------------------------------

SPLITS = ("train", "val", "holdout")
MANIFEST = "manifest.json"


class Progress:
    """One line, rewritten on a terminal; elsewhere a plain line at most every two seconds."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.shown_at = time.monotonic()

    def show(self, text: str, done: bool = False) -> None:
        """Say where the work is; `done` leaves the line standing."""
        now = time.monotonic()
        if not done and now - self.shown_at < (0.1 if self.live else 2.0):
            return
        self.shown_at = now
        end = "\n" if done or not self.live else ""
        print(f"\r\x1b[K{text}" if self.live else text, end=end, file=sys.stderr, flush=True)


def cache_root() -> Path:
    """Where prepared data lives."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or "~/.cache/autoresearch-tui").expanduser()


def data_parameters() -> dict[str, int]:
    """Everything besides the text that decides the bytes."""
    return {
        "format": DATA_FORMAT,
        "vocab_size": VOCAB_SIZE,
        "val_percent": VAL_PERCENT,
        "holdout_percent": HOLDOUT_PERCENT,
        "chunk_chars": CHUNK_CHARS,
        "section_chars": SECTION_CHARS,
        "tokenizer_chars": TOKENIZER_CHARS,
    }


def pointer_path(source: Source) -> Path:
    """The file that names the prepared data of a source: a run finds it without reading the source again."""
    return cache_root() / f"{sha256(source.identity + json.dumps(data_parameters()))[:16]}.current"


def prepare(source: Source) -> Path:
    """Prepare `source` unless that was done; returns the folder. Any number may start, any may be killed."""
    root, progress = cache_root(), Progress()
    with locked(root, progress):
        documents = read_documents(source)
        corpus = sha256(json.dumps([(name, sha256(text)) for name, text in documents]))
        pointer = pointer_path(source)
        if pointer.exists():
            folder = root / pointer.read_text()
            try:
                if check_folder(folder, SPLITS)["source_sha256"] == corpus:
                    return folder
                progress.show("the source has changed since it was prepared", done=True)
            except DataError as error:
                progress.show(f"{error}; preparing it again", done=True)
        for leftover in root.glob(".draft-*"):  # the lock is ours, so whoever wrote it is gone
            shutil.rmtree(leftover)
        draft = root / f".draft-{os.getpid()}"
        draft.mkdir()
        folder = root / str(write_data(draft, documents, corpus, progress)["fingerprint"])
        if folder.exists():
            folder.rename(root / ".draft-replaced")
        draft.rename(folder)
        shutil.rmtree(root / ".draft-replaced", ignore_errors=True)
        beside = pointer.with_suffix(".new")
        beside.write_text(folder.name)
        beside.replace(pointer)
    return folder


@contextlib.contextmanager
def locked(root: Path, progress: Progress) -> Iterator[None]:
    """The cache, for one process at a time; a killed one lets go of it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise DataError(
            f"cannot write to {root}: {error.strerror}; AUTORESEARCH_CACHE names another folder"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.show("another prepare.py is at work, waiting for it", done=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_data(folder: Path, documents: list[Document], corpus: str, progress: Progress) -> dict[str, Any]:
    """Tokenizer, tokens and manifest of the documents, into `folder`; returns the manifest."""
    chunks: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, text in documents:
        chunks[split_of(name)] += cut(text)
    tokenizer = train_tokenizer(chunks["train"], progress)
    tokenizer.save(str(folder / "tokenizer.json"))
    token_bytes_of(tokenizer).tofile(folder / "token_bytes.bin")
    splits = {split: write_tokens(folder, split, chunks[split], tokenizer, progress) for split in SPLITS}
    for split in ("train", "val"):
        if splits[split]["tokens"] < MAX_SEQ_LEN + 2:
            raise DataError(
                f"the source is too small: its {split} split has {splits[split]['tokens']} tokens"
            )
    files = {path.name: sha256(path.read_bytes()) for path in sorted(folder.iterdir())}
    made_of = {"parameters": data_parameters(), "source_sha256": corpus, "files": files}
    manifest = {
        "fingerprint": fingerprint_of(made_of),
        **made_of,
        "documents": len(documents),
        "splits": splits,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """The name of prepared data: of its source, its parameters and its bytes."""
    return sha256(
        json.dumps([manifest[key] for key in ("parameters", "source_sha256", "files")], sort_keys=True)
    )[:16]


def train_tokenizer(chunks: list[str], progress: Progress) -> Tokenizer:
    """Byte-level BPE over all 256 bytes. BOS is not in it, so no text can spell it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    total = min(TOKENIZER_CHARS, sum(map(len, chunks)))

    def learn() -> Iterator[str]:
        read = 0
        for chunk in chunks:
            read += len(chunk)
            if read > TOKENIZER_CHARS:
                return
            progress.show(f"tokenizer: {read / 1e6:.1f} of {total / 1e6:.1f} MB")
            yield chunk

    tokenizer.train_from_iterator(learn(), trainer)
    progress.show(f"tokenizer: {tokenizer.get_vocab_size()} tokens from {total / 1e6:.1f} MB", done=True)
    return tokenizer


def token_bytes_of(tokenizer: Tokenizer) -> np.ndarray[Any, np.dtype[np.int32]]:
    """How many bytes of text each id stands for, int32 [VOCAB_SIZE]; 0 marks what is never scored."""
    lengths = np.zeros(VOCAB_SIZE, np.int32)
    for token, number in tokenizer.get_vocab().items():
        lengths[number] = len(token)  # byte-level tokens are spelled with one character a byte
    return lengths


def write_tokens(
    folder: Path, split: str, chunks: list[str], tokenizer: Tokenizer, progress: Progress
) -> dict[str, int]:
    """The split's tokens as uint16, BOS before each chunk; returns what is in it."""
    tokens, done = 0, 0
    with (folder / f"{split}.bin").open("wb") as file:
        for start in range(0, len(chunks), 512):
            some = tokenizer.encode_batch_fast(chunks[start : start + 512])
            for encoding in some:
                np.array([BOS, *encoding.ids], np.uint16).tofile(file)
                tokens += 1 + len(encoding.ids)
            done += len(some)
            progress.show(f"{split}: {done} of {len(chunks)} chunks")
    size = sum(len(chunk.encode()) for chunk in chunks)
    progress.show(f"{split}: {tokens} tokens from {size} bytes", done=True)
    return {"chunks": len(chunks), "bytes": size, "tokens": tokens}


def check_folder(folder: Path, splits: Iterable[str]) -> dict[str, Any]:
    """The manifest, once the files of `splits` were read and are what it says. Raises DataError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if fingerprint_of(manifest) != folder.name:
            raise DataError(f"damaged data: {folder / MANIFEST} was changed")
        for name in ("tokenizer.json", "token_bytes.bin", *(f"{split}.bin" for split in splits)):
            if sha256((folder / name).read_bytes()) != manifest["files"][name]:
                raise DataError(f"damaged data: {folder / name} is not what was prepared")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"damaged data: cannot read {folder}") from error
    return manifest


@dataclass(frozen=True)
class Data:
    """Prepared data, checked and open."""

    fingerprint: str
    train: np.ndarray[Any, np.dtype[np.uint16]]  # memory-mapped
    val: np.ndarray[Any, np.dtype[np.uint16]]
    token_bytes: Tensor  # int64 [VOCAB_SIZE]


def open_data() -> Data:
    """The data of this lab, prepared first if need be. Raises DataError."""
    source = find_source(os.environ.get("AUTORESEARCH_SOURCE") or DATA_SOURCE)
    try:
        folder = cache_root() / pointer_path(source).read_text()
        check_folder(folder, ("train", "val"))  # a run has no business with the holdout
    except (OSError, DataError):
        try:
            folder = prepare(source)
        except (OSError, DataError) as error:
            raise DataError(f"no data: {error}; run `python prepare.py`") from error
    return Data(
        fingerprint=folder.name,
        train=np.memmap(folder / "train.bin", np.uint16, "r"),
        val=np.memmap(folder / "val.bin", np.uint16, "r"),
        token_bytes=torch.from_numpy(np.fromfile(folder / "token_bytes.bin", np.int32).astype(np.int64)),
    )


# ----------------------------------------------------------------------------------------------------------
# The assignment and the channel: what a run was given, and what is said about it.
# ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assignment:
    """What a run was given, by the runner or by hand."""

    seed: int
    budget_s: float
    clock: str  # "cpu" or "wall"
    device: str
    smoke: bool = False  # a few steps and a short evaluation: does it work at all?


class Channel:
    """The socket to the runner; by hand there is none, and nothing is sent."""

    def __init__(self) -> None:
        # Taken out of the environment: a child of the canvas is no referee.
        descriptor = os.environ.pop("AUTORESEARCH_CHANNEL", None)
        self.socket = socket.socket(fileno=int(descriptor)) if descriptor else None
        self.owner = os.getpid()
        self.over = False  # a verdict was sent: nothing more counts
        if self.socket:
            self.socket.set_inheritable(False)
            self.socket.settimeout(30.0)

    def receive(self) -> Assignment | None:
        """The runner's assignment, or None by hand."""
        if not self.socket:
            return None
        with self.socket.makefile("r", encoding="utf-8") as file:
            given = json.loads(file.readline())
        return Assignment(
            seed=int(given["seed"]),
            budget_s=float(given["budget_s"]),
            clock=str(given["clock"]),
            device=str(given["device"]),
            smoke=bool(given.get("smoke", False)),
        )

    def send(self, event: str, **fields: object) -> None:
        """One event. A runner that is gone takes the run with it."""
        if not self.socket or os.getpid() != self.owner or self.over:
            return
        self.over = event in ("report", "rejected", "crash")
        try:
            self.socket.sendall(json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError as error:
            raise SystemExit(f"referee: the runner is gone ({error})") from error


class Run:
    """The one run of this process: what it was given, and how far it is."""

    def __init__(self) -> None:
        self.started_at = time.perf_counter()
        self.channel = Channel()
        sys.excepthook = self._on_exception
        self.assignment = self.channel.receive() or assignment_by_hand()
        name = self.assignment.device
        self.device = (
            "cpu" if name.startswith("cpu") else name
        )  # "cpu:0" is a core, not torch's name of anything
        self.data = open_data()
        self.clock = Clock(self.assignment.clock)
        self.charged_s = 0.0  # of the budget, before the first batch
        self.batches: Batches | None = None
        self.loss: float | None = None
        self.unread_loss: Tensor | None = None
        given, by = self.assignment, "runner" if self.channel.socket else "by hand"
        print(
            f"referee: seed {given.seed}, {given.budget_s:g} s of {given.clock} time on {given.device}"
            f"{', smoke' if given.smoke else ''} ({by}), data {self.data.fingerprint}",
            flush=True,
        )
        random.seed(given.seed)
        np.random.seed(given.seed % 2**32)
        torch.manual_seed(given.seed)
        if self.device == "cpu":
            torch.set_num_threads(1)  # a slot is one core

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if isinstance(error, RefereeError):
            reason = f"{'rejected' if isinstance(error, Rejected) else 'crash'}: {error}"
            print(reason, file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, trace)
        if isinstance(error, Rejected):
            self.channel.send("rejected", reason=str(error))
        else:
            self.channel.send("crash", reason=crash_reason(error, trace))


_run: Run | None = None


def this_run() -> Run:
    """The run of this process; the first call takes the assignment, checks the data and seeds every generator."""
    global _run
    if _run is None:
        _run = Run()
    return _run


def __getattr__(name: str) -> int | str:
    match name:
        case "seed":
            return this_run().assignment.seed
        case "device":
            return this_run().device
    raise AttributeError(f"module 'prepare' has no attribute {name!r}")


def assignment_by_hand() -> Assignment:
    """What AUTORESEARCH_SEED, _BUDGET_S, _CLOCK, _DEVICE and _SMOKE say, or the defaults."""
    said = {
        name: os.environ.get(f"AUTORESEARCH_{name}")
        for name in ("SEED", "BUDGET_S", "CLOCK", "DEVICE", "SMOKE")
    }
    found = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    on = said["DEVICE"] or found
    clock = said["CLOCK"] or ("cpu" if on.startswith("cpu") else "wall")
    if clock not in BY_HAND_BUDGET_S:
        raise RefereeError(f"AUTORESEARCH_CLOCK is {clock!r}; it can be 'cpu' or 'wall'")
    try:
        budget_s = float(said["BUDGET_S"] or BY_HAND_BUDGET_S[clock])
        return Assignment(int(said["SEED"] or BY_HAND_SEED), budget_s, clock, on, bool(said["SMOKE"]))
    except ValueError as error:
        raise RefereeError(f"AUTORESEARCH_SEED and AUTORESEARCH_BUDGET_S are numbers: {error}") from error


def crash_reason(error: BaseException, trace: TracebackType | None) -> str:
    """One line: the kind, the message, and where in the canvas it was."""
    text = " ".join(str(error).split())[:200]
    if isinstance(error, RefereeError):
        return text
    places = [
        frame
        for frame in traceback.extract_tb(trace)
        if frame.filename != __file__ and "/torch/" not in frame.filename
    ]
    where = f" ({Path(places[-1].filename).name}:{places[-1].lineno})" if places else ""
    out_of_memory = isinstance(error, MemoryError) or re.search(
        r"out of memory|can't allocate memory|not enough memory", text, re.IGNORECASE
    )
    return f"{'out of memory: ' if out_of_memory else ''}{type(error).__name__}: {text}{where}"


# ----------------------------------------------------------------------------------------------------------
# The clock, and the loop that is the clock.
# ----------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds: of wall time, or of CPU time over this process and everything below it."""

    LOOK_S = 0.25  # how often living children are looked for; it costs a pass over /proc

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.looked_at = -math.inf
        self.living_s = self.reaped_s = self.latest_s = 0.0

    def read(self) -> float:
        """Never runs backwards. A child counts while it lives, and still does once it was waited for."""
        now = time.perf_counter()
        if self.kind == "wall":
            return now
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        reaped_s = usage.ru_utime + usage.ru_stime
        if now - self.looked_at > self.LOOK_S or reaped_s != self.reaped_s:
            self.looked_at, self.reaped_s, self.living_s = now, reaped_s, living_children_cpu_s()
        self.latest_s = max(self.latest_s, time.process_time() + reaped_s + self.living_s)
        return self.latest_s


def living_children_cpu_s() -> float:
    """CPU seconds of all living descendants, with what they waited for; 0 where there is no /proc."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    try:
        # Not os.getpid(): /proc may be mounted from another PID namespace, and knows us by another number.
        me = int(os.readlink("/proc/self"))
        for entry in os.listdir("/proc"):  # noqa: PTH208 - a few times a second, while training
            if entry.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                    fields = file.read().rpartition(b")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(entry))
                    ticks[int(entry)] = sum(map(int, fields[11:15]))
    except (OSError, ValueError, IndexError):
        return 0.0
    below = children.get(me, [])
    for process in below:  # grows while it is walked
        below += children.get(process, [])
    return sum(ticks[process] for process in below) / os.sysconf("SC_CLK_TCK")


def synchronize(on: str) -> None:
    """Wait until the device has done what it was told."""
    if on.startswith("cuda"):
        torch.cuda.synchronize(on)
    elif on == "mps":
        torch.mps.synchronize()


class Batches:
    """The training batches: (x, y), int64 [batch_size, T] each, on the device, y one token ahead of x."""

    def __init__(self, run: Run, batch_size: int, length: int) -> None:
        if batch_size < 1 or not 1 <= length < len(run.data.train):
            raise ValueError(f"no batches of {batch_size} × {length} tokens")
        self._run, self._shape = run, (batch_size, length)
        self._random = np.random.default_rng(run.assignment.seed)
        self._began_s = self._sent_at = 0.0
        self._queued: torch.cuda.Event | None = None
        self.steps = 0  # batches handed out
        self.elapsed_s = 0.0  # of the budget, when the latest batch was handed out

    @property
    def tokens(self) -> int:
        """Tokens handed out."""
        return self.steps * self._shape[0] * self._shape[1]

    @property
    def fraction(self) -> float:
        """Of the budget, 0 to 1: what learning-rate schedules follow."""
        given = self._run.assignment
        share = self.steps / SMOKE_BATCHES if given.smoke else self.elapsed_s / given.budget_s
        return min(share, 1.0)

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        if self.steps == 0:
            synchronize(self._run.device)
            self._run.channel.send("phase", phase="training")
            self._began_s = self._run.clock.read() - self._run.charged_s
        pair = self._draw()
        self._keep_pace()
        self.elapsed_s = self.read_elapsed_s()
        self._send_progress()
        if self.fraction >= 1.0:
            read_loss(self._run)
            raise StopIteration
        self.steps += 1
        return pair

    def read_elapsed_s(self) -> float:
        """Seconds of the budget that are gone now; it goes on after the last batch."""
        return self._run.clock.read() - self._began_s

    def _draw(self) -> tuple[Tensor, Tensor]:
        rows, length = self._shape
        train = self._run.data.train
        starts = self._random.integers(0, len(train) - length, rows)
        window = torch.from_numpy(train[starts[:, None] + np.arange(length + 1)].astype(np.int64))
        if self._run.device.startswith("cuda"):
            window = window.pin_memory()
        window = window.to(self._run.device, non_blocking=True)
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()

    def _keep_pace(self) -> None:
        # One step may be in the GPU's queue while the next is prepared; more, and the clock would stop long before the
        # work does.
        if self._run.device.startswith("cuda"):
            earlier, self._queued = self._queued, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._queued.record()
            if earlier is not None:
                earlier.synchronize()
        else:
            synchronize(self._run.device)

    def _send_progress(self) -> None:
        now = time.perf_counter()
        if now - self._sent_at < 0.5 or self.steps == 0:
            return
        self._sent_at = now
        read_loss(self._run)
        self._run.channel.send(
            "progress",
            fraction=self.fraction,
            elapsed_s=self.elapsed_s,
            step=self.steps,
            loss=self._run.loss,
            tokens_per_s=self.tokens / max(self.elapsed_s, 1e-9),
        )


def batches(batch_size: int, length: int = MAX_SEQ_LEN) -> Batches:
    """The training batches of this run, until its budget is spent. One training per run: a second call is refused."""
    run = this_run()
    if run.batches is not None:
        raise RefereeError("prepare.batches was called twice: one training per run")
    run.batches = Batches(run, batch_size, length)
    return run.batches


def watch(loss: float | Tensor) -> None:
    """Show the referee a training loss (mean nats per token). Raises Diverged when it is no longer worth going on."""
    run = this_run()
    if isinstance(loss, Tensor):
        run.unread_loss = loss.detach()
        if loss.device.type != "cpu":
            return  # reading it waits for the device: that is done twice a second, and at the end
    else:
        run.loss = loss
    read_loss(run)


def read_loss(run: Run) -> None:
    """Take in the latest loss. Raises Diverged."""
    if run.unread_loss is not None:
        run.loss, run.unread_loss = float(run.unread_loss), None
    if run.loss is not None and not run.loss < EXPLODED_LOSS:  # NaN is not smaller
        step = run.batches.steps if run.batches else 0
        raise refusal(Diverged(f"diverged: loss is {run.loss:g} at step {step}"))


def refusal(error: RefereeError) -> RefereeError:
    """The error, told to the runner at once: a canvas that catches it hides nothing."""
    this_run().channel.send("rejected" if isinstance(error, Rejected) else "crash", reason=str(error))
    return error


def warm_up(
    model: nn.Module, train_step: Callable[[nn.Module, Tensor, Tensor], object], batch_size: int
) -> None:
    """Compile off the clock: a few `train_step(copy, x, y)` on random tokens and a copy of the model, thrown away.

    An optimizer that the step uses is its own, made for the copy. Generators are as before afterwards. What this takes
    beyond WARM_UP_CAP_S comes out of the budget.
    """
    run = this_run()
    if run.batches is not None:
        raise RefereeError("prepare.warm_up was called after prepare.batches")
    run.channel.send("phase", phase="warm-up")
    began_s = run.clock.read()
    with generators_kept():
        throwaway = copy.deepcopy(model)
        for _ in range(3):
            window = torch.randint(BOS, (batch_size, MAX_SEQ_LEN + 1)).to(run.device)
            train_step(throwaway, window[:, :-1].contiguous(), window[:, 1:].contiguous())
        synchronize(run.device)
    run.charged_s += max(0.0, run.clock.read() - began_s - WARM_UP_CAP_S)


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Random state of python, numpy and torch as it was, afterwards."""
    ours, numpys = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(numpys)


# ----------------------------------------------------------------------------------------------------------
# Evaluation: bits per byte of validation text, and the probes that say whether the number means that.
# ----------------------------------------------------------------------------------------------------------

SAME_SHAPE_TOLERANCE = 0.01  # of the probability mass; the same shapes run the same kernels
OTHER_SHAPE_TOLERANCE = 0.1  # another batch size may pick other kernels, which bfloat16 shows
PROBE_ROWS = 32


@torch.inference_mode()
def evaluate_bpb(model: nn.Module) -> float:
    """Bits per byte on the validation tokens, each scored once. Raises Rejected (a probe) or Diverged (NaN)."""
    run = this_run()
    windows = evaluation_windows(run)
    was_training = model.training
    model.eval()
    with generators_kept():
        before = state_hash(model)
        first = windows[:PROBE_ROWS, :-1].to(run.device)
        at_first = distribution(model, first)
        probe(model, first)
        bits_per_byte = score(model, windows, run)
        # Once more, with all that text between: a model that remembers has been taught by the answers.
        compare(
            "repeatability",
            at_first,
            distribution(model, first),
            "the same tokens at the end of the evaluation",
        )
        if state_hash(model) != before:
            raise refusal(Rejected("mutation: evaluating the model changed its parameters or buffers"))
    model.train(was_training)
    return bits_per_byte


def evaluation_windows(run: Run) -> Tensor:
    """The validation text as int64 [N, T + 1], rows overlapping by one token: every target once, in order."""
    wanted = EVAL_BATCH_TOKENS if run.assignment.smoke else EVAL_TOKENS
    rows = min(wanted, len(run.data.val) - 1) // MAX_SEQ_LEN
    index = np.arange(rows)[:, None] * MAX_SEQ_LEN + np.arange(MAX_SEQ_LEN + 1)
    return torch.from_numpy(run.data.val[index].astype(np.int64))


def score(model: nn.Module, windows: Tensor, run: Run) -> float:
    """Bits per byte over `windows`, in fp32, summed in float64."""
    rows = max(1, EVAL_BATCH_TOKENS // MAX_SEQ_LEN)
    nats, size = 0.0, 0
    for window in torch.split(windows, rows):
        x, y = window[:, :-1].to(run.device), window[:, 1:].to(run.device)
        losses = F.cross_entropy(logits_of(model, x).flatten(0, 1), y.flatten(), reduction="none")
        lengths = run.data.token_bytes.to(run.device)[y.flatten()]
        total = float(losses[lengths > 0].double().sum())
        if not math.isfinite(total):
            raise refusal(
                Diverged(f"diverged: the model's logits give a loss of {total:g} in the evaluation")
            )
        nats += total
        size += int(lengths.sum())
    return nats / math.log(2) / size


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says to `x`, as fp32 [B, T, VOCAB_SIZE]. Raises TypeError for anything else."""
    logits = model(x)
    if (
        not isinstance(logits, Tensor)
        or not logits.is_floating_point()
        or logits.shape != (*x.shape, VOCAB_SIZE)
    ):
        got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"model(x) is {got}; the referee wants float logits {[*x.shape, VOCAB_SIZE]}")
    return logits.float()


def distribution(model: nn.Module, x: Tensor) -> Tensor:
    """The model's next-token probabilities, fp32 [B, T, VOCAB_SIZE]."""
    return logits_of(model, x).softmax(-1)


def compare(
    name: str, before: Tensor, after: Tensor, what: str, tolerance: float = SAME_SHAPE_TOLERANCE
) -> None:
    """Raises Rejected when more than `tolerance` of the probability moved at any position."""
    moved = float((before - after).abs().sum(-1).max()) / 2
    if math.isnan(moved):
        raise refusal(Diverged("diverged: the model's logits are not numbers"))
    if moved > tolerance:
        raise refusal(Rejected(f"{name}: {what} moved {moved:.0%} of the probability"))


def probe(model: nn.Module, x: Tensor) -> None:
    """Ask whether `model` predicts from the row's own earlier tokens, and from nothing else. Raises Rejected."""
    dice = torch.Generator().manual_seed(this_run().assignment.seed)
    rows, length = x.shape
    before = distribution(model, x)
    compare("repeatability", before, distribution(model, x), "the same tokens again")

    noise = torch.randint(BOS, (rows, length), generator=dice).to(x)
    others = torch.cat([x[:1], noise[1:]])
    compare(
        "independence", before[:1], distribution(model, others)[:1], "changing the other rows of the batch"
    )
    compare(
        "independence", before, distribution(model, x.flip(0)).flip(0), "reordering the rows of the batch"
    )
    alone = distribution(model, x[:1])
    compare("independence", before[:1], alone, "taking the other rows away", OTHER_SHAPE_TOLERANCE)

    # One row per place: the same text in all of them, but another future after `place`. Row 0 keeps its own.
    for future, kind in ((noise, "random tokens"), (x.flip(0), "other text")):
        places = torch.randperm(length - 1, generator=dice)[: rows - 1].to(x.device)
        places[:1] = length - 2
        changed = x[:1].repeat(len(places) + 1, 1)
        past = torch.arange(length, device=x.device) <= places[:, None]
        changed[1:] = torch.where(past, changed[1:], future[1 : len(places) + 1])
        answers = distribution(model, changed)
        kept = torch.where(past[..., None], answers[1:], answers[:1])
        compare("causality", answers[:1].expand_as(kept), kept, f"changing later tokens to {kind}")


def state_hash(model: nn.Module) -> str:
    """A hash of all parameters, buffers and training flags."""
    digest = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    digest.update("".join(str(int(module.training)) for module in model.modules()).encode())
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------------------
# The end of a run: one report.
# ----------------------------------------------------------------------------------------------------------


def finish(model: nn.Module, **extras: float) -> float:
    """Stop the clock, evaluate `model`, send the one report and print it; returns val_bpb. Raises Rejected, Diverged."""
    run = this_run()
    if run.batches is None or run.batches.steps == 0:
        raise RefereeError("prepare.finish was called before any batch of prepare.batches")
    synchronize(run.device)
    given, steps, tokens = run.assignment, run.batches.steps, run.batches.tokens
    training_s = run.batches.read_elapsed_s()  # whatever the canvas did after its last batch counts too
    read_loss(run)
    run.channel.send("phase", phase="evaluating", steps=steps, tokens=tokens, training_s=training_s)
    if not given.smoke and training_s > given.budget_s * (1 + OVERRUN_SHARE) + OVERRUN_S:
        raise refusal(
            Rejected(f"clock: training took {training_s:.1f} s of a budget of {given.budget_s:g} s")
        )
    bits_per_byte = evaluate_bpb(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    vram_mb = torch.cuda.max_memory_allocated(run.device) / 2**20 if run.device.startswith("cuda") else 0.0
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    total_s = time.perf_counter() - run.started_at
    run.channel.send(
        "report",
        metric="val_bpb",
        value=bits_per_byte,
        seed=given.seed,
        budget_s=given.budget_s,
        clock=given.clock,
        training_s=training_s,
        steps=steps,
        tokens=tokens,
        parameters=parameters,
        data_fingerprint=run.data.fingerprint,
        evaluated_bytes=evaluated_bytes(run),
        peak_vram_mb=vram_mb,
        peak_memory_mb=memory_mb,
        extras=extras,
    )
    block = {
        "val_bpb": f"{bits_per_byte:.6f}",
        "training_seconds": f"{training_s:.1f}",
        "total_seconds": f"{total_s:.1f}",
        "peak_vram_mb": f"{vram_mb:.1f}",
        "peak_memory_mb": f"{memory_mb:.1f}",
        "total_tokens_M": f"{tokens / 1e6:.3f}",
        "num_steps": steps,
        "num_params_M": f"{parameters / 1e6:.3f}",
        "seed": given.seed,
        "budget": f"{given.budget_s:g} s {given.clock}",
        "data": run.data.fingerprint,
        **extras,
    }
    print("---", *(f"{key + ':':18}{value}" for key, value in block.items()), sep="\n", flush=True)
    return bits_per_byte


def evaluated_bytes(run: Run) -> int:
    """Bytes of text that the evaluation scored."""
    return int(run.data.token_bytes[evaluation_windows(run)[:, 1:]].sum())


def main() -> None:
    """Prepare the data, or say that it is there."""
    parser = argparse.ArgumentParser(
        description="Prepare the data of this lab, or check it and mend what is damaged."
    )
    parser.add_argument("--source", default=DATA_SOURCE, help="'python', or a file or folder of text")
    parser.add_argument("--cache", help="where prepared data goes (default: ~/.cache/autoresearch-tui)")
    given = parser.parse_args()
    if given.cache:
        os.environ["AUTORESEARCH_CACHE"] = given.cache
    try:
        folder = prepare(find_source(given.source))
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    splits = json.loads((folder / MANIFEST).read_text())["splits"]
    print(", ".join(f"{split} {counts['tokens']} tokens" for split, counts in splits.items()))
    print(f"ready: {folder}")
    if given.source != DATA_SOURCE:
        print(f"a run uses it when DATA_SOURCE at the head of prepare.py is {given.source!r}")


if __name__ == "__main__":
    main()
