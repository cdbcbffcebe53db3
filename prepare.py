"""The referee: data, tokenizer, clock, seed and evaluation. Nobody edits it during a run.

    python prepare.py                    prepare the data, or check what is there and mend it
    python prepare.py --source ~/texts   prepare another source

The canvas (training/train.py) sees a run in this order:

    prepare.seed, .device, .vocab_size, .sequence_length     what this run was given
    prepare.warm_up(model, train_step, batch_size)           optional: compile off the clock
    for x, y in (stream := prepare.batches(batch_size)):     the clock: first batch to end of budget
        prepare.watch(loss)                                  every few steps; stream.fraction for schedules
    prepare.finish(model)                                    probes, val_bpb, the one report

The evaluation calls `logits = model(x)`, x int64 [B, T], logits [B, T, vocab_size]; targets are never handed
over. Prepared data is in ~/.cache/autoresearch-tui/<fingerprint>; AUTORESEARCH_CACHE moves it.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everybody writes it
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn

# ----------------------------------------------------------------------------------------------------------
# What this lab measures. A change here makes a new setting: scores before and after are not ranked together.
# ----------------------------------------------------------------------------------------------------------

DATA_SOURCE = "python"  # the standard library's own source; or the path of a text file or a folder of them
VOCAB_SIZE = 2048  # the last id is BOS, the others are byte-level BPE
MAX_SEQ_LEN = 128  # context length of the evaluation, and of training batches that ask for no other
EVAL_TOKENS = (
    2**16
)  # validation tokens that are scored, about 200 kB of text: the same ones, in the same order
VAL_PERCENT, HOLDOUT_PERCENT = 8, 8  # of the documents
CHUNK_CHARS = 2048  # documents are cut into chunks of at most this; BOS stands before each
TOKENIZER_CHARS = 2**26  # the tokenizer learns from this much training text at most
DATA_FORMAT = 1  # goes up when this file would write other bytes for the same text

BY_HAND_SEED = 1337
BY_HAND_BUDGET_S = {"cpu": 20.0, "wall": 300.0}  # by clock
SMOKE_BATCHES = 8
WARM_UP_CAP_S = 120.0  # what warm_up takes beyond this comes out of the budget
EXPLODED_LOSS = 100.0  # nats per token; a uniform guess costs ln(VOCAB_SIZE), about 7.6

BOS = VOCAB_SIZE - 1
SPLITS = ("train", "val", "holdout")
IMPORTED_AT_S = time.perf_counter()
vocab_size, sequence_length = VOCAB_SIZE, MAX_SEQ_LEN
seed: int  # this and `device` are there from the first time they are asked for: see __getattr__
device: str  # "cpu", "cuda:0", "mps": where the batches are


class RefereeError(Exception):
    """Ends the run with one line and no traceback."""


class DataError(RefereeError):
    """The data is missing, damaged or cannot be made; the text says what to do."""


class Diverged(RefereeError):  # noqa: N818 - it names what happened
    """The loss or the logits are no longer worth going on with."""


class Rejected(RefereeError):  # noqa: N818 - it names the verdict
    """The number would not mean what it should: a probe said no, or the clock was overrun."""


# ----------------------------------------------------------------------------------------------------------
# Documents: where text comes from, which split it is in, and how it is cut.
# ----------------------------------------------------------------------------------------------------------

Document = tuple[str, str]  # a name, which alone decides the split, and the text
NOT_THE_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
SECTION_CHARS = 2**16  # a single file is cut into sections of this, so that every split gets some


def python_documents() -> Iterator[Document]:
    """The standard library without its tests: 11 to 12 MB of real text that is on every machine."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        # _sysconfigdata tells how this very interpreter was compiled.
        if NOT_THE_LIBRARY.isdisjoint(name.parts) and not name.name.startswith("_sysconfigdata"):
            yield name.as_posix(), read_text(path)


def path_documents(root: Path) -> Iterator[Document]:
    """The sections of a text file, or the text files of a folder; hidden and binary ones are passed over."""
    if not root.is_dir():
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


SOURCES: dict[str, Callable[[], Iterator[Document]]] = {"python": python_documents}  # another kind goes here


def read_text(path: Path) -> str:
    """The file as text; bytes that are not UTF-8 become U+FFFD."""
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def read_documents(source: str) -> list[Document]:
    """All documents in the order of their names' hashes, so that the head of a split is a fair sample."""
    documents = SOURCES[source]() if source in SOURCES else path_documents(Path(source).expanduser())
    try:
        return sorted((each for each in documents if each[1].strip()), key=lambda each: sha256(each[0]))
    except OSError as error:
        raise DataError(f"cannot read the data source {source!r}: {error}") from error


def sha256(text: str) -> str:
    """The hash of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def split_of(name: str) -> str:
    """The split of a document: it stays there whatever else the corpus holds."""
    share = int(sha256(name)[:8], 16) % 100
    return "val" if share < VAL_PERCENT else "holdout" if share < VAL_PERCENT + HOLDOUT_PERCENT else "train"


def cut(text: str, boundaries: tuple[str, ...] = (r"(?<=\n\n)(?=\S)", r"(?<=\n)")) -> list[str]:
    """Chunks that joined give `text`, cut at top-level blocks where possible, else lines, else anywhere."""
    if len(text) <= CHUNK_CHARS:
        return [text]
    if not boundaries:
        return [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]
    chunks = [""]
    for block in re.split(boundaries[0], text):
        for piece in cut(block, boundaries[1:]):
            if len(chunks[-1]) + len(piece) > CHUNK_CHARS:
                chunks.append("")
            chunks[-1] += piece
    return [chunk for chunk in chunks if chunk]


# ----------------------------------------------------------------------------------------------------------
# Preparing: one tokenizer, one array of tokens per split, in a folder named by what is in it.
# ----------------------------------------------------------------------------------------------------------


class Progress:
    """One line, rewritten on a terminal; elsewhere plain lines, one every two seconds at most."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.shown_at_s = time.monotonic()

    def show(self, text: str, done: bool = False) -> None:
        """Say where the work is; a line that is `done` stays."""
        now_s = time.monotonic()
        if done or now_s - self.shown_at_s > (0.1 if self.live else 2.0):
            self.shown_at_s = now_s
            end = "\n" if done or not self.live else ""
            print(f"\r\x1b[K{text}" if self.live else text, end=end, file=sys.stderr, flush=True)


def cache_root() -> Path:
    """Where prepared data lives."""
    return Path(os.environ.get("AUTORESEARCH_CACHE") or "~/.cache/autoresearch-tui").expanduser()


def data_parameters() -> dict[str, int]:
    """All that decides the bytes, besides the text."""
    names = ("DATA_FORMAT", "VOCAB_SIZE", "VAL_PERCENT", "HOLDOUT_PERCENT", "CHUNK_CHARS")
    return {name.lower(): globals()[name] for name in (*names, "SECTION_CHARS", "TOKENIZER_CHARS")}


def pointer_of(source: str) -> Path:
    """The file that names the prepared data of a source on this machine: a run need not read the source."""
    where = source if source in SOURCES else str(Path(source).expanduser().resolve())
    library = f"{platform.python_version()} {sysconfig.get_path('stdlib')}"
    return cache_root() / f"{sha256(json.dumps([where, library, data_parameters()]))[:16]}.current"


def prepare(source: str) -> Path:
    """The folder of the prepared data, made if need be. Any number may start at once, any may be killed."""
    root, progress = cache_root(), Progress()
    with locked(root, progress):
        documents = read_documents(source)
        corpus = sha256(json.dumps([(name, sha256(text)) for name, text in documents]))
        pointer = pointer_of(source)
        if pointer.exists():
            folder = root / pointer.read_text()
            try:
                if check_folder(folder, SPLITS)["source_sha256"] == corpus:
                    return folder
                progress.show("the source has changed since it was prepared", done=True)
            except DataError as error:
                progress.show(f"{error}; preparing it again", done=True)
        for leftover in root.glob(".draft-*"):  # the lock is ours: whoever wrote it is gone
            shutil.rmtree(leftover)
        draft, replaced = root / ".draft-new", root / ".draft-old"
        draft.mkdir()
        folder = root / write_data(draft, documents, corpus, progress)
        if folder.exists():
            folder.rename(replaced)
        draft.rename(folder)
        shutil.rmtree(replaced, ignore_errors=True)
        beside = pointer.with_suffix(".new")
        beside.write_text(folder.name)
        beside.replace(pointer)
    return folder


@contextlib.contextmanager
def locked(root: Path, progress: Progress) -> Iterator[None]:
    """The cache for one process at a time; the lock of a killed one is gone with it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as error:
        raise DataError(f"cannot write to {root} ({error.strerror}); AUTORESEARCH_CACHE moves it") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.show("another prepare.py is at work, waiting for it", done=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_data(folder: Path, documents: list[Document], corpus: str, progress: Progress) -> str:
    """Tokenizer, tokens and manifest into `folder`; returns the fingerprint."""
    chunks: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, text in documents:
        chunks[split_of(name)] += cut(text)
    tokenizer = train_tokenizer(chunks["train"], progress)
    tokenizer.save(str(folder / "tokenizer.json"))
    token_bytes_of(tokenizer).tofile(folder / "token_bytes.bin")
    splits = {split: write_tokens(folder, split, chunks[split], tokenizer, progress) for split in SPLITS}
    needed = PROBE_ROWS * MAX_SEQ_LEN + 1
    for split, counts in splits.items():
        if counts["tokens"] < needed:
            raise DataError(
                f"too little text: its {split} split has {counts['tokens']} tokens of {needed} needed"
            )
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    manifest: dict[str, Any] = {"parameters": data_parameters(), "source_sha256": corpus, "files": files}
    manifest |= {"fingerprint": fingerprint_of(manifest), "documents": len(documents), "splits": splits}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return str(manifest["fingerprint"])


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """The name of prepared data: by its source, its parameters and its own bytes."""
    return sha256(json.dumps([manifest[key] for key in ("parameters", "source_sha256", "files")]))[:16]


def file_sha256(path: Path) -> str:
    """The hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def train_tokenizer(chunks: list[str], progress: Progress) -> Tokenizer:
    """Byte-level BPE over all 256 bytes. BOS is not in it, so no text can spell it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE - 1, initial_alphabet=alphabet, show_progress=False)
    total = min(TOKENIZER_CHARS, sum(map(len, chunks)))

    def learn_from() -> Iterator[str]:
        read = 0
        for chunk in chunks:
            read += len(chunk)
            if read > TOKENIZER_CHARS:
                return
            progress.show(f"tokenizer: {read / 1e6:.1f} of {total / 1e6:.1f} MB read")
            yield chunk

    tokenizer.train_from_iterator(learn_from(), trainer)
    progress.show(f"tokenizer: {tokenizer.get_vocab_size()} tokens from {total / 1e6:.1f} MB", done=True)
    return tokenizer


def token_bytes_of(tokenizer: Tokenizer) -> np.ndarray[Any, np.dtype[np.int32]]:
    """How many bytes of text each id stands for, int32 [VOCAB_SIZE]; 0 for BOS, which is never scored."""
    lengths = np.zeros(VOCAB_SIZE, np.int32)
    for token, number in tokenizer.get_vocab().items():
        lengths[number] = len(token)  # byte-level tokens are spelled with one character a byte
    return lengths


def write_tokens(
    folder: Path, split: str, chunks: list[str], tokenizer: Tokenizer, progress: Progress
) -> dict[str, int]:
    """The split's tokens as uint16 in `<split>.bin`, BOS before each chunk; returns what is in it."""
    tokens, size = 0, sum(len(chunk.encode()) for chunk in chunks)
    with (folder / f"{split}.bin").open("wb") as file:
        for start in range(0, len(chunks), 256):
            for encoding in tokenizer.encode_batch_fast(chunks[start : start + 256]):
                np.array([BOS, *encoding.ids], np.uint16).tofile(file)
                tokens += 1 + len(encoding.ids)
            progress.show(f"{split}: {start} of {len(chunks)} chunks")
    progress.show(f"{split}: {tokens} tokens from {size} bytes", done=True)
    return {"chunks": len(chunks), "bytes": size, "tokens": tokens}


def check_folder(folder: Path, splits: tuple[str, ...]) -> dict[str, Any]:
    """The manifest, once the files of `splits` were read whole and are what it says. Raises DataError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        sound = fingerprint_of(manifest) == folder.name
        for name in ("tokenizer.json", "token_bytes.bin", *(f"{split}.bin" for split in splits)):
            sound = sound and file_sha256(folder / name) == manifest["files"][name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"data in {folder} cannot be read ({error})") from error
    if not sound:
        raise DataError(f"data in {folder} is damaged")
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
    source = os.environ.get("AUTORESEARCH_SOURCE") or DATA_SOURCE
    try:
        folder = cache_root() / pointer_of(source).read_text()
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
# The run: what it was given, and what is said about it.
# ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assignment:
    """What a run was given, by the runner or by hand."""

    seed: int
    budget_s: float
    clock: str  # "cpu" or "wall"
    device: str
    smoke: bool = False  # a few batches and a short evaluation: does it work at all?

    def __post_init__(self) -> None:
        if self.clock not in BY_HAND_BUDGET_S or not 0 < self.budget_s < math.inf:
            raise ValueError(f"a budget of {self.budget_s} s of {self.clock!r} time")

    @staticmethod
    def by_hand() -> Assignment:
        """From AUTORESEARCH_SEED, _BUDGET_S, _CLOCK, _DEVICE and _SMOKE, or the defaults."""

        def said(name: str, otherwise: str) -> str:
            return os.environ.get(f"AUTORESEARCH_{name}") or otherwise

        gpu = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
        on = said("DEVICE", gpu or "cpu")
        clock = said("CLOCK", "cpu" if on.startswith("cpu") else "wall")
        budget_s = said("BUDGET_S", str(BY_HAND_BUDGET_S.get(clock, 0.0)))
        chosen = int(said("SEED", str(BY_HAND_SEED)))
        return Assignment(chosen, float(budget_s), clock, on, smoke=bool(said("SMOKE", "")))


class Channel:
    """The socket to the runner. By hand there is none, and nothing is sent."""

    def __init__(self) -> None:
        # Taken out of the environment: what the canvas starts is no referee.
        descriptor = os.environ.pop("AUTORESEARCH_CHANNEL", None)
        self.socket = socket.socket(fileno=int(descriptor)) if descriptor else None
        self.owner = os.getpid()
        self.over = False  # a last word was sent: nothing after it counts
        if self.socket:
            self.socket.set_inheritable(False)
            self.socket.settimeout(30.0)

    def receive(self) -> Assignment:
        """What this run was given: by the runner, or by hand."""
        try:
            if not self.socket:
                return Assignment.by_hand()
            with self.socket.makefile("r", encoding="utf-8") as lines:
                given = json.loads(lines.readline())
            numbers = int(given["seed"]), float(given["budget_s"])
            return Assignment(*numbers, str(given["clock"]), str(given["device"]), bool(given["smoke"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            whose = "from the runner" if self.socket else "in the AUTORESEARCH_ variables"
            raise RefereeError(f"no assignment {whose}: {error}") from error

    def send(self, event: str, **fields: object) -> None:
        """One event. A runner that is gone takes the run with it."""
        if not self.socket or self.over or os.getpid() != self.owner:
            return
        self.over = event in ("report", "rejected", "crash")
        try:
            self.socket.sendall(json.dumps({"event": event, **fields}).encode() + b"\n")
        except OSError as error:
            raise SystemExit(f"referee: the runner is gone ({error})") from error


class Run:
    """The one run of this process."""

    def __init__(self) -> None:
        self.channel = Channel()
        sys.excepthook = self._end_with
        self.assignment = given = self.channel.receive()
        self.device = "cpu" if given.device.startswith("cpu") else given.device  # "cpu:0" is a lab's core
        set_up_device(self.device)
        self.data = open_data()
        self.clock = Clock(given.clock)
        self.charged_s = 0.0  # of the budget, for a long warm-up
        self.batches: Batches | None = None
        self.unread_loss: Tensor | float | None = None
        self.loss: float | None = None
        self.evaluated_bytes = 0
        random.seed(given.seed)
        np.random.seed(given.seed % 2**32)
        torch.manual_seed(given.seed)
        by = "from the runner" if self.channel.socket else "by hand; AUTORESEARCH_SEED, _BUDGET_S change it"
        what = f"{given.budget_s:g} s of {given.clock} time on {given.device}{', smoke' * given.smoke}"
        print(f"referee: seed {given.seed}, {what} ({by}), data {self.data.fingerprint}", flush=True)

    def refuse(self, error: RefereeError) -> RefereeError:
        """The error, told to the runner at once: a canvas that catches it hides nothing."""
        self.channel.send("rejected" if isinstance(error, Rejected) else "crash", reason=str(error))
        return error

    def _end_with(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, RefereeError):
            print(f"{'rejected' if isinstance(error, Rejected) else 'crash'}: {error}", file=sys.stderr)
            self.refuse(error)
        else:
            sys.__excepthook__(kind, error, trace)
            self.channel.send("crash", reason=crash_reason(error, trace))


def set_up_device(name: str) -> None:
    """One thread on a CPU, for a slot is one core; the current one of several GPUs. Raises RefereeError."""
    try:
        torch.zeros(1, device=name)
    except Exception as error:  # torch has no common one for "no such device"
        reason = str(error).splitlines()[0]
        raise RefereeError(f"device {name!r} cannot be used: {reason}") from error
    if name == "cpu":
        torch.set_num_threads(1)
    elif name.startswith("cuda"):
        torch.cuda.set_device(name)


_run: Run | None = None


def this_run() -> Run:
    """The run of this process; the first call takes the assignment, checks the data and seeds everything."""
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


def crash_reason(error: BaseException, trace: TracebackType | None) -> str:
    """One line: what, and where in the canvas."""
    text = " ".join(str(error).split())[:200]
    out_of_memory = r"out of memory|can't allocate memory|not enough memory"
    memory = isinstance(error, MemoryError) or re.search(out_of_memory, text, re.IGNORECASE)
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == sys.argv[0]]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{'out of memory: ' if memory else ''}{type(error).__name__}: {text}{where}"


# ----------------------------------------------------------------------------------------------------------
# Training: the clock, the loop that is the clock, and what stands beside it.
# ----------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds of wall time, or of CPU time over this process and everything below it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.look_again_at_s = self.living_s = self.reaped_s = self.latest_s = 0.0

    def read(self, look: bool = False) -> float:
        """Never runs backwards. Living children are looked for a few times a second, or at once to `look`."""
        now_s = time.perf_counter()
        if self.kind == "wall":
            return now_s
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        reaped_s = usage.ru_utime + usage.ru_stime  # of those that were waited for
        if look or now_s >= self.look_again_at_s or reaped_s != self.reaped_s:
            self.reaped_s, self.living_s = reaped_s, living_children_cpu_s()
            cost_s = time.perf_counter() - now_s
            self.look_again_at_s = now_s + max(0.25, 100 * cost_s)  # at most 1 % of the time
        self.latest_s = max(self.latest_s, time.process_time() + reaped_s + self.living_s)
        return self.latest_s


def living_children_cpu_s() -> float:
    """CPU seconds of all living descendants and of what they waited for; 0 where there is no /proc."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    try:
        os.waitid(
            os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT
        )  # touches nothing; raises without children
        # Not os.getpid(): /proc may belong to another PID namespace and know this process by another number.
        this = int(Path("/proc/self").readlink().name)
        for process in (entry.name for entry in os.scandir("/proc") if entry.name.isdigit()):
            with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - fast
                fields = file.read().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(process))
                ticks[int(process)] = sum(map(int, fields[11:15]))
    except (OSError, AttributeError, ValueError, IndexError):
        return 0.0
    below = children.get(this, [])
    for child in below:  # grows while it is walked
        below += children.get(child, [])
    return sum(ticks[child] for child in below) / os.sysconf("SC_CLK_TCK")


def synchronize(on: str) -> None:
    """Wait until the device has done what it was told."""
    if on.startswith("cuda"):
        torch.cuda.synchronize(on)
    elif on == "mps":
        torch.mps.synchronize()


class Batches:
    """Training batches until the budget is spent: x and y, int64 [batch_size, T], y one token ahead of x."""

    def __init__(self, run: Run, batch_size: int, length: int) -> None:
        if batch_size < 1 or not 1 <= length < len(run.data.train):
            raise ValueError(f"there are no batches of {batch_size} rows of {length} tokens")
        self._run, self._rows, self._length = run, batch_size, length
        self._random = np.random.default_rng(run.assignment.seed)
        self._began_s = self._sent_at_s = 0.0
        self._queued: torch.cuda.Event | None = None
        self.steps = 0  # batches handed out
        self.elapsed_s = 0.0  # of the budget, when the latest batch was handed out
        self.longest_step_s = 0.0

    @property
    def tokens(self) -> int:
        """Tokens handed out."""
        return self.steps * self._rows * self._length

    @property
    def fraction(self) -> float:
        """Of the budget, 0 to 1: what schedules follow."""
        given = self._run.assignment
        return min(self.steps / SMOKE_BATCHES if given.smoke else self.elapsed_s / given.budget_s, 1.0)

    def read_elapsed_s(self, look: bool = False) -> float:
        """Seconds of the budget that are gone by now; the clock goes on until `finish`."""
        return self._run.clock.read(look) - self._began_s

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        if self.steps == 0:
            synchronize(self._run.device)
            self._run.channel.send("phase", phase="training")
            self._began_s = self._run.clock.read(look=True) - self._run.charged_s
        pair = self._draw()
        self._keep_pace()
        earlier_s, self.elapsed_s = self.elapsed_s, self.read_elapsed_s()
        self.longest_step_s = max(self.longest_step_s, self.elapsed_s - earlier_s)
        if self.fraction >= 1.0:
            raise StopIteration
        self._send_progress()
        self.steps += 1
        return pair

    def _draw(self) -> tuple[Tensor, Tensor]:
        train = self._run.data.train
        starts = self._random.integers(0, len(train) - self._length, self._rows)
        window = torch.from_numpy(train[starts[:, None] + np.arange(self._length + 1)].astype(np.int64))
        if self._run.device.startswith("cuda"):
            window = window.pin_memory()
        window = window.to(self._run.device, non_blocking=True)
        return window[:, :-1].contiguous(), window[:, 1:].contiguous()

    def _keep_pace(self) -> None:
        # One step may wait in the GPU's queue while the next is drawn. With more, the clock ends too early.
        if self._run.device.startswith("cuda"):
            earlier, self._queued = self._queued, torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._queued.record()
            if earlier:
                earlier.synchronize()
        else:
            synchronize(self._run.device)

    def _send_progress(self) -> None:
        now_s = time.perf_counter()
        if self.steps == 0 or now_s - self._sent_at_s < 0.5:
            return
        self._sent_at_s = now_s
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
    """The training batches of this run. One training per run: a second call is refused."""
    run = this_run()
    if run.batches is not None:
        raise RefereeError("prepare.batches was called twice: there is one training per run")
    run.batches = Batches(run, batch_size, length)
    return run.batches


def watch(loss: float | Tensor) -> None:
    """Show the referee a loss (mean nats per token). Raises Diverged when it is not worth going on."""
    run = this_run()
    run.unread_loss = loss.detach() if isinstance(loss, Tensor) else loss
    # Reading it from a GPU waits for the GPU: that is done twice a second and at the end.
    if not isinstance(loss, Tensor) or loss.device.type == "cpu":
        read_loss(run)


def read_loss(run: Run) -> None:
    """Take in the latest loss. Raises Diverged."""
    if run.unread_loss is None or run.batches is None:
        return
    loss, run.unread_loss = float(run.unread_loss), None
    if not abs(loss) < EXPLODED_LOSS:  # as NaN is not, either
        raise run.refuse(Diverged(f"diverged: loss is {loss:g} at step {run.batches.steps}"))
    run.loss = loss


def warm_up(
    model: nn.Module, train_step: Callable[[nn.Module, Tensor, Tensor], object], batch_size: int
) -> None:
    """Compile off the clock: `train_step(copy, x, y)` on random tokens and a copy of the model, thrown away.

    An optimizer that the step uses is its own, made for the copy. Random state is as before afterwards. What
    this takes beyond WARM_UP_CAP_S comes out of the budget.
    """
    run = this_run()
    if run.batches is not None:
        raise RefereeError("prepare.warm_up was called after prepare.batches")
    run.channel.send("phase", phase="warm-up")
    began_s = run.clock.read(look=True)
    with random_state_kept(run.device):
        throwaway = copy.deepcopy(model)
        for _ in range(3):
            window = torch.randint(BOS, (batch_size, MAX_SEQ_LEN + 1)).to(run.device)
            train_step(throwaway, window[:, :-1].contiguous(), window[:, 1:].contiguous())
        synchronize(run.device)
    run.charged_s += max(0.0, run.clock.read(look=True) - began_s - WARM_UP_CAP_S)


@contextlib.contextmanager
def random_state_kept(on: str) -> Iterator[None]:
    """Whatever is drawn inside, the generators of python, numpy and torch are as before afterwards."""
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([on] if on.startswith("cuda") else []):
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)


# ----------------------------------------------------------------------------------------------------------
# Evaluation: bits per byte of validation text, and the probes that say whether the number means that.
# ----------------------------------------------------------------------------------------------------------

PROBE_ROWS = 8
PROBE_FUTURES = 8  # each gives PROBE_ROWS - 1 places a changed future
SAME_SHAPE = 0.01  # share of the probability that may move: the same shapes run the same kernels
OTHER_SHAPE = 0.1  # another batch size may choose other kernels, and bfloat16 shows it


@torch.inference_mode()
def evaluate_bpb(model: nn.Module) -> float:
    """Bits per byte over the validation tokens, each scored once; `finish` calls it, once a run.

    Raises Rejected when a probe says no, Diverged when the logits are not numbers.
    """
    run = this_run()
    if run.evaluated_bytes:
        raise RefereeError("the validation text is looked at once a run, by prepare.finish")
    windows = evaluation_windows(run)
    first = windows[:PROBE_ROWS, :-1].to(run.device)
    model.eval()
    with random_state_kept(run.device):
        before = state_hash(model)
        at_first = distribution(model, first)
        refuse_mutation(model, before)
        probe(model, first, at_first)
        bits_per_byte = score(model, windows, run)
        refuse_mutation(model, before)
        # Again, with the whole text between: a model that remembers was told the answers by then.
        compare("repeatability", at_first, distribution(model, first), "having seen the rest of the text")
    return bits_per_byte


def evaluation_windows(run: Run) -> Tensor:
    """The head of the validation text, int64 [N, T + 1]; rows share one token, so each is a target once."""
    wanted = EVAL_TOKENS // 16 if run.assignment.smoke else EVAL_TOKENS
    rows = max(min(wanted, len(run.data.val) - 1) // MAX_SEQ_LEN, PROBE_ROWS)
    index = np.arange(rows)[:, None] * MAX_SEQ_LEN + np.arange(MAX_SEQ_LEN + 1)
    return torch.from_numpy(run.data.val[index].astype(np.int64))


def score(model: nn.Module, windows: Tensor, run: Run) -> float:
    """Bits per byte over `windows`: log-softmax in fp32, summed in fp64. BOS is not text."""
    tokens_at_once = 2**11 if run.device == "cpu" else 2**14  # the logits of a batch fit the cache of a CPU
    nats, size = 0.0, 0
    for window in torch.split(windows, max(1, tokens_at_once // MAX_SEQ_LEN)):
        x, targets = window[:, :-1].to(run.device), window[:, 1:].flatten()
        losses = F.cross_entropy(logits_of(model, x).flatten(0, 1), targets.to(run.device), reduction="none")
        lengths = run.data.token_bytes[targets]
        nats += float(losses.cpu()[lengths > 0].double().sum())  # on the CPU, for MPS has no fp64
        size += int(lengths.sum())
    if not math.isfinite(nats):
        raise run.refuse(Diverged(f"diverged: the model's loss on the validation text is {nats:g}"))
    run.evaluated_bytes = size
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
        raise TypeError(f"model(x) returned {got} where float logits {[*x.shape, VOCAB_SIZE]} are due")
    return logits.float()


def distribution(model: nn.Module, x: Tensor) -> Tensor:
    """The model's probabilities of the next token, fp32 [B, T, VOCAB_SIZE]."""
    return logits_of(model, x).softmax(-1)


def compare(name: str, before: Tensor, after: Tensor, change: str, tolerance: float = SAME_SHAPE) -> None:
    """Raises Rejected when `change` moved more than `tolerance` of the probability at any position."""
    moved = float((before - after).abs().sum(-1).max()) / 2
    if math.isnan(moved):
        raise this_run().refuse(
            Diverged("diverged: the model's logits on the validation text are not numbers")
        )
    if moved > tolerance:
        raise this_run().refuse(Rejected(f"{name}: {change} moved {moved:.0%} of the probability"))


def probe(model: nn.Module, x: Tensor, answers: Tensor) -> None:
    """Ask whether each row's answers come from its own earlier tokens and nothing else. Raises Rejected."""
    dice = torch.Generator().manual_seed(this_run().assignment.seed)
    rows, length = x.shape
    compare("repeatability", answers, distribution(model, x), "asking again")

    noise = torch.randint(BOS, (rows, length), generator=dice).to(x)
    among_others = distribution(model, torch.cat([x[:1], noise[1:]]))[:1]
    compare("independence", answers[:1], among_others, "changing the other rows of the batch")
    reordered = distribution(model, x.flip(0)).flip(0)
    compare("independence", answers, reordered, "reordering the rows of the batch")
    alone = distribution(model, x[:1])
    compare("independence", answers[:1], alone, "taking the other rows away", OTHER_SHAPE)

    # One text in all rows; from a place of its own on, each row has another future. Row 0 keeps the true one.
    for turn in range(PROBE_FUTURES):
        text = x[turn % rows].expand_as(x)
        places = torch.randint(length - 1, (rows, 1), generator=dice)
        places[-1] = (0, length - 2)[turn % 2]
        places[0] = length
        noise = torch.randint(BOS, (rows, length), generator=dice).to(x)
        future = noise if turn % 4 < 2 else x.roll(turn, 0)  # random tokens, or what another text says there
        past = (torch.arange(length) <= places).to(x.device)
        told = distribution(model, torch.where(past, text, future))
        kept = torch.where(past[..., None], told, told[:1])
        compare("causality", told[:1].expand_as(kept), kept, "changing later tokens")


def refuse_mutation(model: nn.Module, before: str) -> None:
    """Raises Rejected when the model is not what it was."""
    if state_hash(model) != before:
        raise this_run().refuse(Rejected("mutation: being asked changed the model's parameters or buffers"))


def state_hash(model: nn.Module) -> str:
    """A hash of all parameters, buffers and training flags."""
    digest = hashlib.sha256()
    for name, value in [*model.named_parameters(), *model.named_buffers()]:
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    digest.update(bytes(module.training for module in model.modules()))
    return digest.hexdigest()


# ----------------------------------------------------------------------------------------------------------
# The end of a run: one report.
# ----------------------------------------------------------------------------------------------------------


def finish(model: nn.Module, **extras: float) -> float:
    """Stop the clock, evaluate, send the one report and print it; returns val_bpb. Raises as that does.

    `extras` are numbers of the canvas's own, for the reader: they decide nothing.
    """
    run = this_run()
    given, stream = run.assignment, run.batches
    if stream is None or stream.steps == 0:
        raise RefereeError("prepare.finish was called before the first batch of prepare.batches")
    synchronize(run.device)
    training_s = stream.read_elapsed_s(look=True)  # what the canvas did after its last batch counts too
    read_loss(run)
    counts = {"steps": stream.steps, "tokens": stream.tokens, "training_s": training_s}
    run.channel.send("phase", phase="evaluating", **counts)
    allowed_s = (
        given.budget_s + min(stream.longest_step_s, given.budget_s / 10) + 0.5
    )  # a last step has to end
    if training_s > allowed_s and not given.smoke:
        raise run.refuse(Rejected(f"clock: trained {training_s:.1f} s on a budget of {given.budget_s:g} s"))
    bits_per_byte = evaluate_bpb(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    vram_mb = torch.cuda.max_memory_allocated(run.device) / 2**20 if run.device.startswith("cuda") else 0.0
    run.channel.send(
        "report",
        metric="val_bpb",
        value=bits_per_byte,
        **counts,
        seed=given.seed,
        budget_s=given.budget_s,
        clock=given.clock,
        parameters=parameters,
        data_fingerprint=run.data.fingerprint,
        evaluated_bytes=run.evaluated_bytes,
        peak_memory_mb=memory_mb,
        peak_vram_mb=vram_mb,
        extras=extras,
    )
    lines = {
        "val_bpb": f"{bits_per_byte:.6f}",
        "training_seconds": f"{training_s:.1f}",
        "total_seconds": f"{time.perf_counter() - IMPORTED_AT_S:.1f}",
        "peak_vram_mb": f"{vram_mb:.1f}",
        "peak_memory_mb": f"{memory_mb:.1f}",
        "total_tokens_M": f"{stream.tokens / 1e6:.3f}",
        "num_steps": stream.steps,
        "num_params_M": f"{parameters / 1e6:.3f}",
        "seed": given.seed,
        "budget": f"{given.budget_s:g} s {given.clock}",
        "data": run.data.fingerprint,
    }
    print(
        "---", *(f"{name + ':':18}{value}" for name, value in (extras | lines).items()), sep="\n", flush=True
    )
    return bits_per_byte


def main() -> None:
    """Prepare the data, or check that it is there."""
    parser = argparse.ArgumentParser(
        description="Prepare the data of this lab, or check it and mend what is damaged."
    )
    parser.add_argument("--source", default=DATA_SOURCE, help="'python', or a text file or a folder of them")
    parser.add_argument("--cache", help="where prepared data goes (default: ~/.cache/autoresearch-tui)")
    asked = parser.parse_args()
    if asked.cache:
        os.environ["AUTORESEARCH_CACHE"] = asked.cache
    try:
        folder = prepare(asked.source)
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    splits = json.loads((folder / "manifest.json").read_text())["splits"]
    print(
        "data:",
        ", ".join(f"{split} {counts['tokens'] / 1e6:.2f} M tokens" for split, counts in splits.items()),
    )
    print(f"ready: {folder}")
    if asked.source != DATA_SOURCE:
        print(f"a run takes it with DATA_SOURCE = {asked.source!r} at the head of prepare.py")


if __name__ == "__main__":
    main()
elif "AUTORESEARCH_CHANNEL" in os.environ:
    this_run()  # so that a runner hears of whatever goes wrong from here on
