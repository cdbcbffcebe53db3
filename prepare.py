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
EVAL_TOKENS = 2**16  # scored tokens, about 200 kB of text: the same ones, in the same windows
VAL_PERCENT, HOLDOUT_PERCENT = 8, 8  # of the documents
CHUNK_CHARS = 2048  # documents are cut into chunks of at most this; BOS stands before each
SECTION_CHARS = 2**16  # a single file is cut into sections of this, so that every split gets some
TOKENIZER_CHARS = 2**26  # the tokenizer learns from this much training text at most
DATA_FORMAT = 2  # goes up when this file would write other bytes for the same text

GIANT_SHARE = 0.25  # of a split, from which a single document is named
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
# pydoc_data is one large file of prose: in a split by files it would outweigh all code there.
NOT_THE_LIBRARY = set("test tests idle_test pydoc_data site-packages dist-packages __pycache__".split())


def python_documents() -> Iterator[Document]:
    """The standard library without its tests: 11 MB of real text that is on every machine."""
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
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not hidden and "\0" not in (text := read_text(path)):
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
# The holdout is sealed: no run may read it, so it never lies in the cache, only where --holdout says.
# ----------------------------------------------------------------------------------------------------------


class Progress:
    """One line, rewritten on a terminal; elsewhere plain lines, one every two seconds at most."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty()
        self.shown_at_s = time.monotonic()

    def show(self, text: str, done: bool = False) -> None:
        """Say where the work is; a line that is `done` stays."""
        if done or time.monotonic() - self.shown_at_s > (0.1 if self.live else 2.0):
            self.shown_at_s = time.monotonic()
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


def prepare(source: str, holdout: Path | None = None) -> Path:
    """The folder of the prepared data, made if need be; with `holdout`, that split's tokens in this file.

    Any number may start at once, any may be killed.
    """
    root, progress = cache_root(), Progress()
    with locked(root, progress):
        documents = read_documents(source)
        corpus = sha256(json.dumps([(name, sha256(text)) for name, text in documents]))
        pointer = pointer_of(source)
        folder = root / pointer.read_text() if pointer.exists() else None
        try:
            if folder and check_folder(folder)["source_sha256"] != corpus:
                progress.show("the source has changed since it was prepared", done=True)
                folder = None
        except DataError as error:
            progress.show(f"{error}; preparing it again", done=True)
            folder = None
        if folder is None:
            for leftover in root.glob(".draft-*"):  # the lock is ours: whoever wrote it is gone
                shutil.rmtree(leftover)
            draft, replaced = root / ".draft-new", root / ".draft-old"
            draft.mkdir()
            tell_giants(documents, progress)
            folder = root / write_data(draft, documents, corpus, progress)
            if folder.exists():
                folder.rename(replaced)
            draft.rename(folder)
            shutil.rmtree(replaced, ignore_errors=True)
            pointer.with_suffix(".new").write_text(folder.name)
            pointer.with_suffix(".new").replace(pointer)
        if holdout:
            seal_holdout(holdout, folder, documents, progress)
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


def tell_giants(documents: list[Document], progress: Progress) -> None:
    """Name a document that is much of its split: a gain may then be one on that kind of text alone."""
    for split in SPLITS:
        sizes = {name: len(text) for name, text in documents if split_of(name) == split}
        giant = max(sizes, key=lambda name: sizes[name], default="")
        if giant and (share := sizes[giant] / sum(sizes.values())) > GIANT_SHARE:
            progress.show(
                f"{giant} is {share:.0%} of {split}: scores there are of that text above all", done=True
            )


def write_data(folder: Path, documents: list[Document], corpus: str, progress: Progress) -> str:
    """Tokenizer, tokens and manifest into `folder`; returns the fingerprint."""
    tokenizer = train_tokenizer(chunks_of("train", documents), progress)
    tokenizer.save(str(folder / "tokenizer.json"))
    token_bytes_of(tokenizer).tofile(folder / "token_bytes.bin")
    splits, needed = {}, 8 * MAX_SEQ_LEN + 1
    for split in SPLITS:
        chunks = chunks_of(split, documents)
        tokens = write_tokens(folder / f"{split}.bin", split, chunks, tokenizer, progress)
        splits[split] = {"tokens": tokens, "bytes": sum(len(chunk.encode()) for chunk in chunks)}
        if tokens < needed:
            raise DataError(f"too little text: its {split} split has {tokens} tokens of {needed} needed")
    files = {path.name: file_sha256(path) for path in sorted(folder.iterdir())}
    (folder / "holdout.bin").unlink()
    manifest: dict[str, Any] = {"parameters": data_parameters(), "source_sha256": corpus, "files": files}
    manifest |= {"fingerprint": fingerprint_of(manifest), "documents": len(documents), "splits": splits}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return str(manifest["fingerprint"])


def seal_holdout(path: Path, folder: Path, documents: list[Document], progress: Progress) -> None:
    """The holdout's tokens in `path`, which only its owner may read. Raises DataError."""
    expected = json.loads((folder / "manifest.json").read_text())["files"]["holdout.bin"]
    if path.exists() and file_sha256(path) == expected:
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    write_tokens(draft, "holdout", chunks_of("holdout", documents), tokenizer, progress)
    if file_sha256(draft) != expected:
        raise DataError(f"the holdout came out other than in {folder}: remove that folder and prepare again")
    draft.replace(path)


def chunks_of(split: str, documents: list[Document]) -> list[str]:
    """The text of a split, cut."""
    return [chunk for name, text in documents if split_of(name) == split for chunk in cut(text)]


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
    ends = np.cumsum([len(chunk) for chunk in chunks])
    total = int(min(TOKENIZER_CHARS, ends[-1] if chunks else 0))

    def learn_from() -> Iterator[str]:
        for chunk, end in zip(chunks, ends, strict=True):
            if end <= TOKENIZER_CHARS:
                progress.show(f"tokenizer: {end / 1e6:.1f} of {total / 1e6:.1f} MB read")
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


def write_tokens(path: Path, split: str, chunks: list[str], tokenizer: Tokenizer, progress: Progress) -> int:
    """The split's tokens as uint16, BOS before each chunk; returns how many."""
    tokens = 0
    with path.open("wb") as file:
        for start in range(0, len(chunks), 256):
            for encoding in tokenizer.encode_batch_fast(chunks[start : start + 256]):
                np.array([BOS, *encoding.ids], np.uint16).tofile(file)
                tokens += 1 + len(encoding.ids)
            progress.show(f"{split}: {start} of {len(chunks)} chunks")
    progress.show(f"{split}: {tokens} tokens", done=True)
    return tokens


def check_folder(folder: Path) -> dict[str, Any]:
    """The manifest, once its files were read whole and are what it says. Raises DataError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        sound = fingerprint_of(manifest) == folder.name
        for name in ("tokenizer.json", "token_bytes.bin", "train.bin", "val.bin"):
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
        check_folder(folder)
    except (OSError, DataError):
        try:
            folder = prepare(source)
        except (OSError, DataError) as error:
            raise DataError(f"no data: {error}; run `python prepare.py`") from error
    train, val = (np.memmap(folder / f"{split}.bin", np.uint16, "r") for split in ("train", "val"))
    lengths = np.fromfile(folder / "token_bytes.bin", np.int32).astype(np.int64)
    return Data(folder.name, train, val, torch.from_numpy(lengths))


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
    holdout: bool = False  # the runner has the sealed holdout, and wants to know that score too

    def __post_init__(self) -> None:
        if self.clock not in BY_HAND_BUDGET_S or not 0 < self.budget_s < math.inf:
            raise ValueError(f"a budget of {self.budget_s} s of {self.clock!r} time")

    @staticmethod
    def by_hand() -> Assignment:
        """From AUTORESEARCH_SEED, _BUDGET_S, _CLOCK, _DEVICE and _SMOKE, or the defaults."""
        said = {name: os.environ.get(f"AUTORESEARCH_{name}") for name in ("SEED", "BUDGET_S", "CLOCK")}
        gpu = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else ""
        on = os.environ.get("AUTORESEARCH_DEVICE") or gpu or "cpu"
        clock = said["CLOCK"] or ("cpu" if on.startswith("cpu") else "wall")
        budget_s = float(said["BUDGET_S"] or BY_HAND_BUDGET_S.get(clock, 0.0))
        smoke = bool(os.environ.get("AUTORESEARCH_SMOKE"))
        return Assignment(int(said["SEED"] or BY_HAND_SEED), budget_s, clock, on, smoke)


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
            self.incoming = self.socket.makefile("rb")

    def receive(self) -> Assignment:
        """What this run was given: by the runner, or by hand."""
        try:
            if not self.socket:
                return Assignment.by_hand()
            given = json.loads(self.incoming.readline())
            numbers = int(given["seed"]), float(given["budget_s"])
            words = str(given["clock"]), str(given["device"])
            return Assignment(*numbers, *words, bool(given["smoke"]), bool(given.get("holdout")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            whose = "from the runner" if self.socket else "in the AUTORESEARCH_ variables"
            raise RefereeError(f"no assignment {whose}: {error}") from error

    def receive_holdout(self) -> np.ndarray[Any, np.dtype[np.uint16]]:
        """The sealed tokens: the runner answers the phase with a line `{"tokens": n}` and n little-endian uint16."""
        self.send("phase", phase="holdout")
        size = 2 * int(json.loads(self.incoming.readline())["tokens"])
        return np.frombuffer(self.incoming.read(size), "<u2").astype(np.uint16)

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
        if isinstance(error, RefereeError):  # of anything else the runner finds the reason in the log
            print(f"{'rejected' if isinstance(error, Rejected) else 'crash'}: {error}", file=sys.stderr)
            self.refuse(error)
        else:
            sys.__excepthook__(kind, error, trace)


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
    if name == "seed":
        return this_run().assignment.seed
    if name == "device":
        return this_run().device
    raise AttributeError(f"module 'prepare' has no attribute {name!r}")


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
        train, on = self._run.data.train, self._run.device
        starts = self._random.integers(0, len(train) - self._length, self._rows)
        window = torch.from_numpy(train[starts[:, None] + np.arange(self._length + 1)].astype(np.int64))
        window = (window.pin_memory() if on.startswith("cuda") else window).to(on, non_blocking=True)
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
        seen = {"fraction": self.fraction, "elapsed_s": self.elapsed_s, "step": self.steps}
        speed = self.tokens / max(self.elapsed_s, 1e-9)
        self._run.channel.send("progress", **seen, loss=self._run.loss, tokens_per_s=speed)


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
    run.channel.send("phase", phase="starting")  # whatever is computed from here on was not for compiling


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
# Evaluation: bits per byte of text that was not trained on, and the probes that say whether it means that.
# ----------------------------------------------------------------------------------------------------------

PROBED_ROWS = 32  # or a quarter of them
PLACES = 16  # positions of each probe that are compared
# The share of the probability that may move: on a CPU in fp32, elsewhere.
TOLERANCE, ROUNDED_TOLERANCE = 0.001, 0.01
# How much more the probed rows may cost: as a share of the others' nats, in standard errors.
WORSE, WORSE_SDS = 0.03, 5.0


@torch.inference_mode()
def evaluate_bpb(model: nn.Module) -> float:
    """Bits per byte over the validation tokens, each scored once; `finish` calls it, once a run.

    Raises Rejected when a probe says no, Diverged when the logits are not numbers.
    """
    run = this_run()
    if run.evaluated_bytes:
        raise RefereeError("the validation text is looked at once a run, by prepare.finish")
    bits_per_byte, run.evaluated_bytes = score(model, evaluation_windows(run.data.val), run)
    return bits_per_byte


def evaluation_windows(tokens: np.ndarray[Any, np.dtype[np.uint16]]) -> Tensor:
    """Rows from all over a split, evenly, int64 [N, T + 1]; no token is a target twice.

    From all over, for a few documents say little about others: two splits would rank models differently.
    """
    wanted = EVAL_TOKENS // 16 if this_run().assignment.smoke else EVAL_TOKENS
    available = (len(tokens) - 1) // MAX_SEQ_LEN
    if available < 1:
        raise DataError(f"too little text to evaluate on: {len(tokens)} tokens")
    rows = min(wanted // MAX_SEQ_LEN, available)
    starts = np.arange(rows) * available // rows * MAX_SEQ_LEN
    index = starts[:, None] + np.arange(MAX_SEQ_LEN + 1)
    return torch.from_numpy(tokens[index].astype(np.int64))


def score(model: nn.Module, windows: Tensor, run: Run) -> tuple[float, int]:
    """Bits per byte over `windows`, and their bytes: log-softmax in fp32, summed in fp64. BOS is not text.

    Among the rows that are scored, in an order that nobody knows and in batches of one shape, some are asked
    again: as they are, and with another future. Nothing tells a model which row it is asked, or why.
    """
    nn.Module.eval(model)
    x, targets = windows[:, :-1], windows[:, 1:]
    half = any(parameter.dtype != torch.float32 for parameter in model.parameters())
    probes = Probes(x, exact=run.device == "cpu" and not half)
    rows, asked = len(x), torch.cat([x, probes.x])
    tokens_at_once = 2**11 if run.device == "cpu" else 2**14  # the logits of a batch fit the cache of a CPU
    at_once = max(1, tokens_at_once // MAX_SEQ_LEN)
    order = torch.randperm(len(asked), generator=probes.dice)
    order = torch.cat([order, order[: -len(order) % at_once]])  # the last batch has the shape of the others
    nats = torch.zeros(rows, MAX_SEQ_LEN, dtype=torch.float64)
    lengths = run.data.token_bytes[targets]
    with random_state_kept(run.device):
        before, first = state_hash(model), asked[order[:at_once]].to(run.device)
        at_first = distribution(model, first)
        compare("repeatability", at_first, distribution(model, first), "asking again", probes.exact)
        for batch in torch.split(order, at_once):
            logits = logits_of(model, asked[batch].to(run.device))
            probes.take(batch, logits, rows)
            real = batch < rows
            goal = targets[batch[real]].to(run.device)
            losses = F.cross_entropy(logits[real.to(run.device)].transpose(1, 2), goal, reduction="none")
            nats[batch[real]] = losses.cpu().double()  # on the CPU, for MPS has no fp64
        # Again, with the whole text between: a model that remembers was told the answers by then.
        again = distribution(model, first)
        compare("repeatability", at_first, again, "having seen the rest of the text", probes.exact)
        if state_hash(model) != before:
            raise run.refuse(Rejected("mutation: being asked changed the model's parameters or buffers"))
    nats[lengths == 0] = 0.0
    probes.judge(nats.sum(1))
    total, size = float(nats.sum()), int(lengths.sum())
    if not math.isfinite(total):
        raise run.refuse(Diverged(f"diverged: the model's loss on unseen text is {total:g}"))
    return total / math.log(2) / size, size


class Probes:
    """Rows that are asked again, and what must not have moved: answers come from a row's own past only."""

    def __init__(self, x: Tensor, exact: bool) -> None:
        self.dice = torch.Generator().manual_seed(int.from_bytes(os.urandom(7), "big"))
        length, count = x.shape[1], min(PROBED_ROWS, -(-len(x) // 4))
        self.rows = torch.randperm(len(x), generator=self.dice)[:count].repeat(3)
        self.changed_from = torch.randint(1, length, (3 * count, 1), generator=self.dice)
        self.changed_from[:count] = length  # the first third is asked as it is, in other company
        self.changed_from[count], self.changed_from[-1] = 1, length - 1
        other = x[torch.randint(len(x), (3 * count,), generator=self.dice)].clone()  # real text, or noise
        other[2 * count :] = torch.randint(BOS, (count, length), generator=self.dice)
        self.x = torch.where(torch.arange(length) < self.changed_from, x[self.rows], other)
        within = torch.rand(3 * count, PLACES - 1, generator=self.dice) * self.changed_from
        self.places = torch.cat([within.long(), self.changed_from - 1], 1)  # the last one before the change
        self.answers: dict[tuple[str, int], Tensor] = {}
        self.exact = exact

    def take(self, batch: Tensor, logits: Tensor, rows: int) -> None:
        """Keep what the judgement needs of a batch's answers; `batch` holds row numbers, probes after `rows`."""
        for at, row in enumerate(batch.tolist()):
            for probe in (self.rows == row).nonzero().flatten().tolist() if row < rows else [row - rows]:
                key = ("true" if row < rows else "again", probe)
                self.answers[key] = logits[at, self.places[probe].to(logits.device)].softmax(-1)

    def judge(self, nats: Tensor) -> None:
        """Raises Rejected. `nats` is the loss of every real row, fp64 [N]."""
        count = len(self.rows) // 3
        true, again = (torch.stack([self.answers[k, n] for n in range(3 * count)]) for k in ("true", "again"))
        compare("independence", true[:count], again[:count], "other rows in the batch", self.exact)
        compare("causality", true[count:], again[count:], "changing later tokens", self.exact)
        # Whoever answers a past that it has met from memory is right about the wrong future.
        probed = torch.zeros(len(nats), dtype=torch.bool)
        probed[self.rows] = True
        rest, worse = nats[~probed], float(nats[probed].mean() - nats[~probed].mean())
        if len(rest) > 1 and worse > max(WORSE * rest.mean(), WORSE_SDS * rest.std() / math.sqrt(count)):
            reason = f"causality: rows that were asked twice cost {worse / float(rest.mean()):+.0%} nats"
            raise this_run().refuse(Rejected(reason))


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What the model says to `x`, as fp32 [B, T, VOCAB_SIZE]. Raises TypeError for anything else."""
    logits = model(x)
    if type(logits) is not Tensor:
        raise TypeError(f"model(x) returned {type(logits).__name__} where a tensor of logits is due")
    if not logits.is_floating_point() or logits.shape != (*x.shape, VOCAB_SIZE):
        got = f"{logits.dtype} {list(logits.shape)}"
        raise TypeError(f"model(x) returned {got} where float logits {[*x.shape, VOCAB_SIZE]} are due")
    return logits.float()


def distribution(model: nn.Module, x: Tensor) -> Tensor:
    """The model's probabilities of the next token, fp32 [B, T, VOCAB_SIZE]."""
    return logits_of(model, x).softmax(-1)


def compare(name: str, before: Tensor, after: Tensor, change: str, exact: bool) -> None:
    """Raises Rejected when `change` moved more of the probability, at any position, than rounding can."""
    moved = float((before - after).abs().sum(-1).max()) / 2
    if math.isnan(moved):
        raise this_run().refuse(Diverged("diverged: the model's logits on unseen text are not numbers"))
    # Batches of one shape run the same kernels, but a row may lie elsewhere in them.
    if moved > (TOLERANCE if exact else ROUNDED_TOLERANCE):
        raise this_run().refuse(Rejected(f"{name}: {change} moved {moved:.1%} of the probability"))


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
    given, stream, on = run.assignment, run.batches, run.device
    if stream is None or stream.steps == 0:
        raise RefereeError("prepare.finish was called before the first batch of prepare.batches")
    synchronize(on)
    training_s = stream.read_elapsed_s(look=True)  # what the canvas did after its last batch counts too
    read_loss(run)
    counts: dict[str, Any] = {"steps": stream.steps, "tokens": stream.tokens, "training_s": training_s}
    run.channel.send("phase", phase="evaluating", **counts)
    last_step_s = min(stream.longest_step_s, given.budget_s / 10) + 0.5  # a last step has to end
    if training_s > given.budget_s + last_step_s and not given.smoke:
        raise run.refuse(Rejected(f"clock: trained {training_s:.1f} s on a budget of {given.budget_s:g} s"))
    report = counts | {"metric": "val_bpb", "value": evaluate_bpb(model), "holdout": None}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report |= {
        "seed": given.seed,
        "budget_s": given.budget_s,
        "clock": given.clock,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "data_fingerprint": run.data.fingerprint,
        "evaluated_bytes": run.evaluated_bytes,
        "peak_memory_mb": memory / (2**20 if sys.platform == "darwin" else 2**10),
        "peak_vram_mb": torch.cuda.max_memory_allocated(on) / 2**20 if on.startswith("cuda") else 0.0,
    }
    lines = extras | {
        "val_bpb": f"{report['value']:.6f}",
        "training_seconds": f"{training_s:.1f}",
        "total_seconds": f"{time.perf_counter() - IMPORTED_AT_S:.1f}",
        "peak_vram_mb": f"{report['peak_vram_mb']:.1f}",
        "peak_memory_mb": f"{report['peak_memory_mb']:.1f}",
        "total_tokens_M": f"{stream.tokens / 1e6:.3f}",
        "num_steps": stream.steps,
        "num_params_M": f"{report['parameters'] / 1e6:.3f}",
        "seed": given.seed,
        "budget": f"{given.budget_s:g} s {given.clock}",
        "data": run.data.fingerprint,
    }
    print("---", *(f"{name + ':':18}{value}" for name, value in lines.items()), sep="\n", flush=True)
    if given.holdout and not given.smoke:  # last, for from here on the runner keeps no output
        with torch.inference_mode():
            report["holdout"], _ = score(model, evaluation_windows(run.channel.receive_holdout()), run)
    run.channel.send("report", **report, extras=extras)
    return float(report["value"])


def main() -> None:
    """Prepare the data, or check that it is there."""
    parser = argparse.ArgumentParser(
        description="Prepare the data of this lab, or check it and mend what is damaged."
    )
    parser.add_argument("--source", default=DATA_SOURCE, help="'python', or a text file or a folder of them")
    parser.add_argument("--cache", help="where prepared data goes (default: ~/.cache/autoresearch-tui)")
    sealed = os.environ.get("AUTORESEARCH_HOLDOUT")
    parser.add_argument(
        "--holdout", type=Path, default=sealed, help="also write the sealed split, to this file"
    )
    asked = parser.parse_args()
    if asked.cache:
        os.environ["AUTORESEARCH_CACHE"] = asked.cache
    try:
        folder = prepare(asked.source, asked.holdout)
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
    print(f"data_fingerprint: {folder.name}")
    if asked.source != DATA_SOURCE:
        print(f"a run takes it with DATA_SOURCE = {asked.source!r} at the head of prepare.py")


if __name__ == "__main__":
    main()
elif "AUTORESEARCH_CHANNEL" in os.environ:
    this_run()  # so that a runner hears of whatever goes wrong from here on
