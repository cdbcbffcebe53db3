"""The referee: data, tokenizer, clock, seed and evaluation. Nobody edits it during a run.

    python prepare.py                       prepare the data, or check what is there and mend it
    python prepare.py --source climbmix:4   prepare another source; stopped, it goes on where it was

The canvas (training/train.py) sees a run in this order:

    prepare.seed, .device, .vocab_size, .sequence_length     what this run was given
    prepare.warm_up(model, train_step, batch_size)           optional: compile off the clock
    for x, y in (stream := prepare.batches(batch_size)):     the clock: first batch to end of budget
        prepare.watch(loss)                                  every few steps; stream.fraction for schedules
    prepare.finish(model)                                    probes, val_bpb, the one report

The evaluation calls `logits = model(x)`, x int64 [B, T], logits [B, T, vocab_size]; targets are never handed
over. Prepared data is in ~/.cache/autoresearch-tui/<fingerprint>; AUTORESEARCH_CACHE moves it. Beside that
folder, in one of the same name and -sealed, lies what no run may read: the holdout.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import errno
import fcntl
import hashlib
import itertools
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
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
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

# "python", the standard library's own source; "climbmix", or "climbmix:20" for so many training shards;
# "tinystories"; or the path of a text or parquet file, or of a folder of them.
DATA_SOURCE = "python"
VOCAB_SIZE = 2048  # at most 65536: the last id is BOS, the others are byte-level BPE
MAX_SEQ_LEN = 128  # context length of the evaluation, and of training batches that ask for no other
EVAL_TOKENS = 2**16  # scored tokens, about 200 kB of text: the same ones, in the same windows
VAL_PERCENT, HOLDOUT_PERCENT = 8, 8  # of the documents
CHUNK_CHARS = 2048  # documents are cut into chunks of at most this, 0: never; BOS stands before each
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


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face hub: parquet files with a column of text."""

    repository: str
    file: str  # numbered where there are several
    shards: int = 1  # of several the last is the validation text and the one before it the holdout
    trained_on: int = 1  # shards, unless the source names a number

    def parts(self, trained_on: int) -> list[tuple[str, str]]:
        """Files and their splits; of "" each row's name decides."""
        if self.shards == 1:
            return [(self.file, "")]
        numbers = [*range(trained_on), self.shards - 1, self.shards - 2]
        return list(zip(map(self.file.format, numbers), [*["train"] * trained_on, *SPLITS[1:]], strict=True))


HUBS = {
    "climbmix": Hub("karpathy/climbmix-400b-shuffle", "shard_{:05d}.parquet", shards=6543, trained_on=10),
    "tinystories": Hub("karpathy/tinystories-gpt4-clean", "tinystories_gpt4_clean.parquet"),
}
TEXT_COLUMN = "text"
ROWS_AT_ONCE = 64
# pydoc_data is one large file of prose: in a split by files it would outweigh all code there.
NOT_THE_LIBRARY = set("test tests idle_test pydoc_data site-packages dist-packages __pycache__".split())
SECTIONS_AT_ONCE = 2**10  # of a text file: 64 MB


@dataclass(frozen=True)
class Corpus:
    """A source, opened: what it is, and its documents, always in the same order."""

    sha256: str
    text_bytes: int  # about
    read: Callable[[int], Iterator[tuple[str, str, str]]]  # split, name, text; from the n-th document on


def open_corpus(source: str, progress: Progress, splits: tuple[str, ...] = SPLITS) -> Corpus:
    """The source, fetched first if need be; of shards only those of `splits`. Raises DataError."""
    try:
        if asked := hub_of(source):
            parts = [(name, split) for name, split in asked[0].parts(asked[1]) if split in ("", *splits)]
            return parquet_corpus(fetch_parts(asked[0], parts, progress))
        if found := parquet_parts(Path(source).expanduser()):
            return parquet_corpus([(path, split) for path, split in found if split in ("", *splits)])
        return text_corpus(source)
    except OSError as error:
        raise DataError(f"cannot read the data source {source!r}: {error}") from error


def hub_of(source: str) -> tuple[Hub, int] | None:
    """The data set of the hub that is meant, and how many shards are trained on. Raises DataError."""
    name, _, count = source.partition(":")
    if name not in HUBS:
        return None
    hub, most = HUBS[name], max(1, HUBS[name].shards - 2)
    if count and not (count.isdecimal() and 1 <= int(count) <= most):
        raise DataError(f"the data source {source!r}: {name} has 1 to {most} shards to train on")
    return hub, int(count or hub.trained_on)


def parquet_parts(path: Path) -> list[tuple[Path, str]]:
    """A parquet file, or those of a folder: of three or more the last two are validation text and holdout."""
    if path.suffix == ".parquet":
        return [(path, "")]
    files = sorted(each for each in path.glob("*.parquet") if not each.name.startswith("."))
    if len(files) < 3:
        return [(file, "") for file in files]
    return [*((file, "train") for file in files[:-2]), (files[-1], "val"), (files[-2], "holdout")]


def parquet_corpus(parts: list[tuple[Path, str]]) -> Corpus:
    """Parquet files, row by row. They are what their bytes are."""
    digest = sha256(json.dumps([(path.name, file_sha256(path), split) for path, split in parts]))
    sizes = {path: parquet_size(path) for path, _ in parts}

    def read(start: int) -> Iterator[tuple[str, str, str]]:
        for path, split in parts:
            rows, _ = sizes[path]
            for row, text in parquet_rows(path, start) if start < rows else ():
                name = f"{path.name}:{row}"
                yield split or split_of(name), name, text
            start = max(0, start - rows)

    return Corpus(digest, sum(size for _, size in sizes.values()), read)


@contextlib.contextmanager
def reading_parquet(path: Path) -> Iterator[Any]:
    """The pyarrow file. Raises DataError, for whatever goes wrong while it is read, too."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError("parquet needs pyarrow: `pip install pyarrow`") from error
    try:
        # With a buffer, pages are read one by one, not all of a row group at once.
        with pyarrow.parquet.ParquetFile(path, buffer_size=2**20) as file:
            if TEXT_COLUMN not in (names := file.schema_arrow.names):
                raise DataError(f"{path} has no column {TEXT_COLUMN!r}, it has {', '.join(names)[:200]}")
            yield file
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error


def parquet_size(path: Path) -> tuple[int, int]:
    """How many rows there are, and about how many bytes of text."""
    with reading_parquet(path) as file:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        columns = [group.column(at) for group in groups for at in range(group.num_columns)]
        size = sum(each.total_uncompressed_size for each in columns if each.path_in_schema == TEXT_COLUMN)
        return file.metadata.num_rows, size


def parquet_rows(path: Path, start: int) -> Iterator[tuple[int, str]]:
    """The rows from `start` on, numbered; one without text is ""."""
    with reading_parquet(path) as file:
        lengths = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        ends = list(itertools.accumulate(lengths))
        groups = [number for number, end in enumerate(ends) if end > start]
        row = ends[groups[0]] - lengths[groups[0]] if groups else 0
        for batch in file.iter_batches(ROWS_AT_ONCE, groups, [TEXT_COLUMN], use_threads=False):
            for text in batch.column(0).to_pylist():
                if row >= start:
                    yield row, text if isinstance(text, str) else ""
                row += 1


def text_corpus(source: str) -> Corpus:
    """The standard library, a text file or a folder of them. They are what their documents are."""
    digest, size = hashlib.sha256(b"["), 0
    for number, (name, text) in enumerate(read_documents(source)):
        digest.update(f"{', ' * bool(number)}{json.dumps([name, sha256(text)])}".encode())
        size += len(text)
    digest.update(b"]")

    def read(start: int) -> Iterator[tuple[str, str, str]]:
        for name, text in itertools.islice(read_documents(source), start, None):
            yield split_of(name), name, text

    return Corpus(digest.hexdigest(), size, read)


def read_documents(source: str) -> Iterator[tuple[str, str]]:
    """Names and texts, in the order of the names' hashes: the head of a split is a fair sample."""
    try:
        root = Path(source).expanduser()
        if source == "python":
            found: Iterable[tuple[str, str]] = read_files(library_files())
        else:
            found = read_files(folder_files(root)) if root.is_dir() else read_sections(root)
        yield from ((name, text) for name, text in found if text.strip())
    except OSError as error:
        raise DataError(f"cannot read the data source {source!r}: {error}") from error


def library_files() -> Iterator[tuple[str, Path]]:
    """The standard library without its tests: 11 MB of real text that is on every machine."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in root.rglob("*.py"):
        name = path.relative_to(root)
        # _sysconfigdata tells how this very interpreter was compiled.
        if NOT_THE_LIBRARY.isdisjoint(name.parts) and not name.name.startswith("_sysconfigdata"):
            yield name.as_posix(), path


def folder_files(root: Path) -> Iterator[tuple[str, Path]]:
    """The files of a folder; hidden ones are passed over."""
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path


def read_files(files: Iterable[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """The texts of files; binary ones are passed over, and bytes that are not UTF-8 become U+FFFD."""
    for name, path in sorted(files, key=lambda each: sha256(each[0])):
        text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
        if "\0" not in text:
            yield name, text


def read_sections(path: Path) -> Iterator[tuple[str, str]]:
    """The sections of a text file, SECTIONS_AT_ONCE of them sorted at a time: a file may be larger than memory."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        sections, text = [], ""
        for number in itertools.count():
            while len(text) <= SECTION_CHARS and (more := file.read(SECTION_CHARS)):
                text = (text + more).replace("\r\n", "\n")  # one that is cut in two is whole the next time
            if text:
                sections.append((f"{number:08d}", text[:SECTION_CHARS]))
            if len(sections) == SECTIONS_AT_ONCE or not text:
                yield from sorted(sections, key=lambda each: sha256(each[0]))
                sections = []
            if not text:
                return
            text = text[SECTION_CHARS:]


def sha256(text: str) -> str:
    """The hash of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def split_of(name: str) -> str:
    """The split of a document: it stays there whatever else the corpus holds."""
    share = int(sha256(name)[:8], 16) % 100
    return "val" if share < VAL_PERCENT else "holdout" if share < VAL_PERCENT + HOLDOUT_PERCENT else "train"


def cut(text: str, boundaries: tuple[str, ...] = (r"(?<=\n\n)(?=\S)", r"(?<=\n)")) -> list[str]:
    """Chunks that joined give `text`, cut at top-level blocks where possible, else lines, else anywhere."""
    if len(text) <= CHUNK_CHARS or not CHUNK_CHARS:
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
# Fetching: files of the hub, a few at once. A cut connection is gone on with where it was cut, a file that has
# changed meanwhile is begun anew, and what the hub knows of a file (its size, its sha256) must hold.
# ----------------------------------------------------------------------------------------------------------

FETCHED_AT_ONCE = 4
FETCH_TRIES = 5  # in a row that brought nothing
RETRY_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # doubled each time
SILENCE_S = 30.0  # of a server, after which it is asked again
FINAL_ANSWERS = {400, 401, 403, 404, 405, 410, 451}


@dataclass(frozen=True)
class Remote:
    """What a server says of a file."""

    url: str
    size: int
    etag: str
    sha256: str  # "" where it does not say

    def part_of(self, target: Path) -> Path:
        """Where its bytes gather: elsewhere for another version of the file."""
        return target.with_name(f"{target.name}.{sha256(f'{self.etag} {self.size}')[:12]}.part")


def fetch_parts(hub: Hub, parts: list[tuple[str, str]], progress: Progress) -> list[tuple[Path, str]]:
    """The files, each where it may lie: with rows of the holdout in it, out of the runs' reach."""
    base = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    name = hub.repository.rpartition("/")[2]
    targets = {}
    for file, split in parts:
        folder = (cache_root() if split in ("train", "val") else sealed_root()) / "downloads" / name
        targets[folder / file] = f"{base}/datasets/{hub.repository}/resolve/main/{file}"
    missing = {target: url for target, url in targets.items() if not target.exists()}
    if missing:
        Fetching(missing, progress).run()
    return [(target, split) for target, (_, split) in zip(targets, parts, strict=True)]


class Fetching:
    """The files that are missing, fetched by a few threads while this one says how far they are."""

    def __init__(self, missing: dict[Path, str], progress: Progress) -> None:
        self.missing, self.progress = missing, progress
        self.remotes: dict[Path, Remote] = {}
        self.over = threading.Event()
        self.end: BaseException | None = None  # of it all
        self.trouble = ""  # that is being lived with

    def run(self) -> None:
        """Fetch them all. Raises DataError; whatever ends it, what has come is kept."""
        for folder in {target.parent for target in self.missing}:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._in_threads(self._describe, lambda: f"asking for {len(self.missing)} files")
            self.size, self.had = sum(each.size for each in self.remotes.values()), self._received()
            # Of text there is about 2.7 times as much as of parquet, and of tokens two thirds of that.
            need_room(cache_root(), self.size - self.had + 1.8 * self.size)
            self.began_s = time.monotonic()
            self._in_threads(self._fetch, self._how_far)
        finally:
            self.over.set()
        self.progress.show(f"fetched {len(self.missing)} files, {self.size / 1e6:.0f} MB", done=True)

    def _in_threads(self, work: Callable[[Path], None], how_far: Callable[[], str]) -> None:
        waiting = iter(list(self.missing))

        def go_on() -> None:
            try:
                while not self.over.is_set() and (target := next(waiting, None)):
                    self._persist(work, target)
            except BaseException as error:
                self.end = self.end or error
                self.over.set()

        # Daemons, not a pool: nobody waits for a silent server once this is interrupted.
        threads = [threading.Thread(target=go_on, daemon=True) for _ in range(FETCHED_AT_ONCE)]
        for thread in threads:
            thread.start()
        while not self.end and (alive := [thread for thread in threads if thread.is_alive()]):
            self.progress.show(how_far())
            alive[0].join(0.02)
        if self.end:
            raise self.end

    def _persist(self, work: Callable[[Path], None], target: Path) -> None:
        """Do the work, as often as it takes; give up when it brings nothing any more. Raises DataError."""
        import http.client

        failures = 0
        while not self.over.is_set():
            had = self._received_of(target)
            try:
                work(target)
                return
            except (OSError, http.client.HTTPException, ValueError) as error:
                failures = 1 if self._received_of(target) > had else failures + 1
                asked_s = self._judge(error, target, failures)
                self.over.wait(min(max(RETRY_PAUSE_S * 2 ** (failures - 1), asked_s), LONGEST_PAUSE_S))

    def _judge(self, error: Exception, target: Path, failures: int) -> float:
        """How long the server asks to be left alone. Raises DataError where it makes no sense to go on."""
        import urllib.error

        url, status, asked_s = self.missing[target], 0, ""
        reason = (
            str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__
        )
        reason = "".join(letter for letter in reason if letter.isprintable())
        if isinstance(error, urllib.error.HTTPError):
            status, asked_s = error.code, error.headers.get("Retry-After", "")
            error.close()
        elif isinstance(error, OSError) and error.errno in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
        ):
            raise DataError(
                f"cannot write to {target.parent}: {reason}; AUTORESEARCH_CACHE moves it"
            ) from error
        if status in FINAL_ANSWERS:
            said = f"{url} answers {status} {reason}"
            raise DataError(f"{said}: see DATA_SOURCE, HF_ENDPOINT, HF_TOKEN") from error
        if failures >= FETCH_TRIES:
            wayout = "when the network is back, name a mirror in HF_ENDPOINT, or copy the file to"
            kept = "what has come is kept: run `python prepare.py` again"
            raise DataError(f"cannot fetch {url}: {reason}; {kept} {wayout} {target.parent}") from error
        self.trouble = f"; {target.name}: {reason}, trying again"
        self.remotes.pop(target, None)  # it may have changed
        return float(asked_s) if asked_s.isdecimal() else 0.0

    def _describe(self, target: Path) -> None:
        """Ask for size and identity, without following the hub to its storage: the hub alone knows the sha256."""
        import urllib.error

        url = self.missing[target]
        try:
            with open_url(url, "HEAD") as answer:
                headers = answer.headers
        except urllib.error.HTTPError as error:
            if not 300 <= error.code < 400:
                raise
            error.close()
            headers = error.headers
        etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
        size = int(headers.get("X-Linked-Size") or headers.get("Content-Length") or 0)
        if size < 1:
            raise ValueError("the server does not say how large it is")
        known = re.fullmatch(r"[0-9a-f]{64}", etag) if "X-Linked-Etag" in headers else None
        self.remotes[target] = Remote(url, size, etag, etag if known else "")

    def _fetch(self, target: Path) -> None:
        if target not in self.remotes:
            self._describe(target)
        remote = self.remotes[target]
        part = remote.part_of(target)
        for other in set(target.parent.glob(f"{target.name}.*.part")) - {part}:
            other.unlink()
        if size_of(part) < remote.size:
            self._receive(remote, part)
        if self.over.is_set():
            return
        if size_of(part) < remote.size:
            raise ConnectionError(f"cut at {size_of(part)} of {remote.size} bytes")
        if size_of(part) > remote.size or (remote.sha256 and file_sha256(part) != remote.sha256):
            part.unlink()
            raise ValueError("its bytes are not what the server says of them")
        part.replace(target)

    def _receive(self, remote: Remote, part: Path) -> None:
        headers = {"Range": f"bytes={size_of(part)}-"} if size_of(part) else {}
        if headers and remote.etag and not remote.sha256:
            headers["If-Range"] = f'"{remote.etag}"'
        with open_url(remote.url, "GET", headers) as answer:
            said = answer.headers.get("Content-Range") or answer.headers.get("Content-Length") or ""
            if (whole := said.rpartition("/")[2]).isdecimal() and int(whole) != remote.size:
                raise ValueError(f"it was {remote.size} bytes and is {whole} now")
            with part.open("ab" if answer.status == 206 else "wb") as file:
                while not self.over.is_set() and (block := answer.read1(2**20)):
                    file.write(block)
                    file.flush()  # nothing is lost that has come
                os.fsync(file)

    def _received_of(self, target: Path) -> int:
        return max(map(size_of, (target, *target.parent.glob(f"{target.name}.*.part"))))

    def _received(self) -> int:
        return sum(map(self._received_of, self.missing))

    def _how_far(self) -> str:
        have, files = self._received(), sum(target.exists() for target in self.missing)
        speed = (have - self.had) / max(time.monotonic() - self.began_s, 0.1)
        left = f", {(self.size - have) / speed:.0f} s left" if speed > 0 else ""
        what = f"fetching: {files} of {len(self.missing)} files, {have / 1e6:.0f} of {self.size / 1e6:.0f} MB"
        return f"{what}, {speed / 1e6:.1f} MB/s{left}{self.trouble}"


def open_url(url: str, method: str, headers: dict[str, str] | None = None) -> Any:
    """The server's answer. HF_TOKEN goes to the hub alone, never to the storage that it refers to."""
    import urllib.request

    class StopsAtStorage(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request: Any, *answer: Any) -> Any:
            linked = request.get_method() == "HEAD" and "X-Linked-Etag" in answer[3]
            return None if linked else super().redirect_request(request, *answer)

    headers = {"User-Agent": "autoresearch-tui"} | (headers or {})
    request = urllib.request.Request(url, headers=headers, method=method)
    if token := os.environ.get("HF_TOKEN"):
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    return urllib.request.build_opener(StopsAtStorage).open(request, timeout=SILENCE_S)


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def need_room(folder: Path, wanted: float) -> None:
    """Raises DataError where so many bytes would not fit."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        lack = f"{folder} needs about {wanted / 1e9:.1f} GB and has {free / 1e9:.1f} GB free"
        raise DataError(f"{lack}: AUTORESEARCH_CACHE moves it, and fewer shards (climbmix:2) need less")


# ----------------------------------------------------------------------------------------------------------
# Preparing: one tokenizer, one array of tokens per split, in a folder named by what is in it.
# The holdout is sealed: no run may read it, so it never lies in the cache, only beside it and where --holdout says.
# ----------------------------------------------------------------------------------------------------------

BATCH_CHARS = 2**18  # encoded at once by each thread
JOURNAL_S = 1.0  # how much work a killed preparation loses
LEFTOVER_S = 7 * 86400.0  # after which nobody will go on with it


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


def sealed_root() -> Path:
    """Where the holdout's text and tokens live: a lab hides this folder from its runs."""
    return cache_root().with_name(f"{cache_root().name}-sealed")


def data_parameters() -> dict[str, int]:
    """All that decides the bytes, besides the text."""
    names = ("DATA_FORMAT", "VOCAB_SIZE", "VAL_PERCENT", "HOLDOUT_PERCENT", "CHUNK_CHARS")
    return {name.lower(): globals()[name] for name in (*names, "SECTION_CHARS", "TOKENIZER_CHARS")}


def pointer_of(source: str) -> Path:
    """The file that names the prepared data of a source on this machine: a run need not read the source."""
    asked = hub_of(source)
    where = source if source == "python" else str(Path(source).expanduser().resolve())
    where = f"{asked[0].repository}:{asked[1]}" if asked else where
    library = f"{platform.python_version()} {sysconfig.get_path('stdlib')}"
    return cache_root() / f"{sha256(json.dumps([where, library, data_parameters()]))[:16]}.current"


def prepare(source: str, holdout: Path | None = None, workers: int = 0) -> Path:
    """The folder of the prepared data, made if need be; with `holdout`, that split's tokens in this file.

    Any number may start at once, any may be killed. `workers` threads encode, by default one a core; the bytes
    are the same whatever their number. What was prepared from the hub is not asked for again.
    """
    if not 258 <= VOCAB_SIZE <= 2**16:
        raise DataError(
            f"VOCAB_SIZE = {VOCAB_SIZE}: 258 to 65536 are possible, for tokens are kept as uint16"
        )
    progress, workers = Progress(), workers or usable_cores()
    with locked(progress):
        pointer = pointer_of(source)
        folder = cache_root() / pointer.read_text() if pointer.exists() else None
        corpus = None
        try:
            prepared = check_folder(folder)["source_sha256"] if folder else ""
            if not prepared or not hub_of(source):
                corpus = open_corpus(source, progress)
            if corpus and prepared not in ("", corpus.sha256):
                progress.show("the source has changed since it was prepared", done=True)
                folder = None
        except DamagedError as error:
            progress.show(f"{error}; preparing it again", done=True)
            folder = None
        if folder is None:
            folder = make_folder(corpus or open_corpus(source, progress), workers, progress)
            pointer.with_suffix(".new").write_text(folder.name)
            pointer.with_suffix(".new").replace(pointer)
        if holdout:
            seal_holdout(holdout, folder, source, workers, progress)
    return folder


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def locked(progress: Progress) -> Iterator[None]:
    """The cache for one process at a time; the lock of a killed one is gone with it."""
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        sealed_root().mkdir(exist_ok=True, mode=0o700)
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


def make_folder(corpus: Corpus, workers: int, progress: Progress) -> Path:
    """Tokenizer, tokens and manifest in a folder of the cache. A draft of the same that was left is gone on with."""
    root, key = cache_root(), sha256(json.dumps([corpus.sha256, data_parameters()]))[:16]
    draft, sealed = root / f".draft-{key}", sealed_root() / f".draft-{key}.bin"
    for leftover in (*root.glob(".draft-*"), *sealed_root().glob(".draft-*")):
        if time.time() - leftover.stat().st_mtime > LEFTOVER_S:  # the lock is ours: nobody is at it
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    draft.mkdir(exist_ok=True)
    need_room(draft, 0.7 * corpus.text_bytes - sum(map(size_of, draft.iterdir())))
    manifest = write_data(draft, sealed, corpus, workers, progress)
    folder, replaced = root / str(manifest["fingerprint"]), root / ".draft-replaced"
    sealed.replace(sealed_root() / f"{folder.name}.bin")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    draft.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return folder


def write_data(
    folder: Path, sealed: Path, corpus: Corpus, workers: int, progress: Progress
) -> dict[str, Any]:
    """Tokenizer, tokens and manifest into `folder`, the holdout's tokens into `sealed`; returns the manifest."""
    if not (folder / "tokenizer.json").exists():
        train_tokenizer(corpus, workers, progress).save(str(folder / "tokenizer.new"))
        (folder / "tokenizer.new").rename(folder / "tokenizer.json")
    token_bytes_of(Tokenizer.from_file(str(folder / "tokenizer.json"))).tofile(folder / "token_bytes.bin")
    files = {"train": folder / "train.bin", "val": folder / "val.bin", "holdout": sealed}
    journal, needed = folder / "journal.json", 8 * MAX_SEQ_LEN + 1
    tally = write_tokens(files, corpus, folder / "tokenizer.json", journal, workers, progress)
    tell_giants(tally, progress)
    for split, tokens in tally.tokens.items():
        if tokens < needed:
            raise DataError(f"too little text: its {split} split has {tokens} tokens of {needed} needed")
    made = {f"{split}.bin": path for split, path in files.items()}
    made |= {name: folder / name for name in ("token_bytes.bin", "tokenizer.json")}
    hashes = {name: file_sha256(made[name]) for name in sorted(made)}
    manifest: dict[str, Any] = {
        "parameters": data_parameters(),
        "source_sha256": corpus.sha256,
        "files": hashes,
    }
    splits = {split: {"tokens": tally.tokens[split], "bytes": tally.bytes[split]} for split in SPLITS}
    manifest |= {"fingerprint": fingerprint_of(manifest), "documents": tally.documents, "splits": splits}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    journal.unlink(missing_ok=True)
    return manifest


def seal_holdout(path: Path, folder: Path, source: str, workers: int, progress: Progress) -> None:
    """The holdout's tokens in `path`, which only its owner may read. Raises DataError."""
    expected = json.loads((folder / "manifest.json").read_text())["files"]["holdout.bin"]
    kept = sealed_root() / f"{folder.name}.bin"
    if path.exists() and file_sha256(path) == expected:
        return
    if not kept.exists() or file_sha256(kept) != expected:
        kept.unlink(missing_ok=True)
        corpus = open_corpus(source, progress, ("holdout",))
        write_tokens({"holdout": kept}, corpus, folder / "tokenizer.json", None, workers, progress)
    if file_sha256(kept) != expected:
        raise DataError(f"the holdout came out other than in {folder}: remove that folder and prepare again")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    shutil.copyfile(kept, draft)
    draft.replace(path)


def fingerprint_of(manifest: dict[str, Any]) -> str:
    """The name of prepared data: by its source, its parameters and its own bytes."""
    return sha256(json.dumps([manifest[key] for key in ("parameters", "source_sha256", "files")]))[:16]


def file_sha256(path: Path) -> str:
    """The hash of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def train_tokenizer(corpus: Corpus, workers: int, progress: Progress) -> Tokenizer:
    """Byte-level BPE over all 256 bytes. BOS is not in it, so no text can spell it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if workers > 1 else "false"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE - 1, initial_alphabet=alphabet, show_progress=False)
    read = 0

    def learn_from() -> Iterator[str]:
        nonlocal read
        texts = (text for split, _, text in corpus.read(0) if split == "train" and text.strip())
        for chunk in itertools.chain.from_iterable(map(cut, texts)):
            if read + len(chunk) > TOKENIZER_CHARS:
                return
            read += len(chunk)
            progress.show(f"tokenizer: {read / 1e6:.1f} MB read")
            yield chunk

    tokenizer.train_from_iterator(learn_from(), trainer)
    progress.show(f"tokenizer: {tokenizer.get_vocab_size()} tokens from {read / 1e6:.1f} MB", done=True)
    return tokenizer


def token_bytes_of(tokenizer: Tokenizer) -> np.ndarray[Any, np.dtype[np.int32]]:
    """How many bytes of text each id stands for, int32 [VOCAB_SIZE]; 0 for BOS, which is never scored."""
    lengths = np.zeros(VOCAB_SIZE, np.int32)
    for token, number in tokenizer.get_vocab().items():
        lengths[number] = len(token)  # byte-level tokens are spelled with one character a byte
    return lengths


@dataclass
class Tally:
    """What of a corpus is in the token files: all that a killed preparation needs to go on."""

    read: int = 0  # documents that are behind us, those without text and those of other splits too
    documents: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    largest: dict[str, tuple[int, str]] = field(default_factory=lambda: dict.fromkeys(SPLITS, (0, "")))

    def count(self, split: str, name: str, size: int, tokens: int) -> None:
        """Take a document in: its bytes and its tokens."""
        self.documents += 1
        self.tokens[split] += tokens
        self.bytes[split] += size
        if size > self.largest[split][0]:
            self.largest[split] = size, name

    @staticmethod
    def resumed(journal: Path | None, files: dict[str, Path]) -> Tally:
        """What the journal says, where the files hold as much; else a fresh one."""
        try:
            kept = Tally(**json.loads(journal.read_text())) if journal else Tally()
            if all(size_of(files[split]) >= 2 * kept.tokens[split] for split in files):
                return kept
        except (OSError, ValueError, TypeError, KeyError):
            pass
        return Tally()


def tell_giants(tally: Tally, progress: Progress) -> None:
    """Name a document that is much of its split: a gain may then be one on that kind of text alone."""
    for split, (size, name) in tally.largest.items():
        if name and (share := size / tally.bytes[split]) > GIANT_SHARE:
            progress.show(
                f"{name} is {share:.0%} of {split}: scores there are of that text above all", done=True
            )


Document = tuple[str, str, str]  # split, name, text
Encoded = list[tuple[str, str, int, bytes]]  # split, name, bytes of text, tokens as uint16


def write_tokens(
    files: dict[str, Path],
    corpus: Corpus,
    tokenizer: Path,
    journal: Path | None,
    workers: int,
    progress: Progress,
) -> Tally:
    """Each split's tokens as uint16 into its file, BOS before each chunk; goes on from where `journal` says."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each thread is a core
    tally, encode = Tally.resumed(journal, files), encoder(tokenizer, files)
    with contextlib.ExitStack() as stack:
        opened = {}
        for split, path in files.items():
            path.touch(mode=0o600 if split == "holdout" else 0o644)
            opened[split] = stack.enter_context(path.open("ab"))
            opened[split].truncate(2 * tally.tokens[split])
        began_s = kept_s = time.monotonic()
        had = sum(tally.bytes.values())
        for read, encoded in in_order(encode, batched(corpus.read(tally.read)), workers):
            tally.read += read
            for split, name, size, tokens in encoded:
                opened[split].write(tokens)
                tally.count(split, name, size, len(tokens) // 2)
            now_s, done = time.monotonic(), sum(tally.bytes.values())
            if journal and now_s - kept_s > JOURNAL_S:
                keep_tally(tally, journal, list(opened.values()))
                kept_s = time.monotonic()
            speed = (done - had) / (now_s - began_s)
            progress.show(
                f"tokens: {done / 1e6:.0f} of about {corpus.text_bytes / 1e6:.0f} MB, {speed / 1e6:.1f} MB/s"
            )
    counts = ", ".join(f"{split} {tally.tokens[split]}" for split in files)
    progress.show(f"tokens: {counts}", done=True)
    return tally


def keep_tally(tally: Tally, journal: Path, files: list[Any]) -> None:
    """Into the journal, once the disk has what it says."""
    for file in files:
        file.flush()
        os.fsync(file)
    journal.with_suffix(".new").write_text(json.dumps(asdict(tally)))
    journal.with_suffix(".new").replace(journal)


def batched(documents: Iterator[Document]) -> Iterator[list[Document]]:
    """The documents, about BATCH_CHARS of them at a time."""
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document[2])
        if size >= BATCH_CHARS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def encoder(tokenizer: Path, splits: Iterable[str]) -> Callable[[list[Document]], tuple[int, Encoded]]:
    """What encodes a batch, in any thread; it returns how many documents those were."""
    own = threading.local()

    def encode(batch: list[Document]) -> tuple[int, Encoded]:
        if not hasattr(own, "tokenizer"):  # a shared one has a cache that the threads would wait for
            own.tokenizer = Tokenizer.from_file(str(tokenizer))
        wanted = [(split, name, cut(text)) for split, name, text in batch if split in splits and text.strip()]
        found = iter(own.tokenizer.encode_batch_fast([chunk for *_, chunks in wanted for chunk in chunks]))
        encoded = []
        for split, name, chunks in wanted:
            tokens = b"".join(np.array([BOS, *next(found).ids], np.uint16).tobytes() for _ in chunks)
            encoded.append((split, name, sum(len(chunk.encode()) for chunk in chunks), tokens))
        return len(batch), encoded

    return encode


def in_order(
    work: Callable[[list[Document]], tuple[int, Encoded]], batches: Iterator[list[Document]], workers: int
) -> Iterator[tuple[int, Encoded]]:
    """`work` on each batch in threads, a few ahead of what is taken; the answers come in the batches' order."""
    pool, ahead = ThreadPoolExecutor(workers), collections.deque[Future[tuple[int, Encoded]]]()
    try:
        for batch in batches:
            ahead.append(pool.submit(work, batch))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class DamagedError(DataError):
    """Prepared data is not what its manifest says."""


def check_folder(folder: Path) -> dict[str, Any]:
    """The manifest, once its files were read whole and are what it says. Raises DamagedError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        sound = fingerprint_of(manifest) == folder.name
        for name in ("tokenizer.json", "token_bytes.bin", "train.bin", "val.bin"):
            sound = sound and file_sha256(folder / name) == manifest["files"][name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"data in {folder} cannot be read ({error})") from error
    if not sound:
        raise DamagedError(f"data in {folder} is damaged")
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
    """Rows from all over a split, evenly, int32 [N, T + 1]; no token is a target twice.

    From all over, for a few documents say little about others: two splits would rank models differently.
    """
    wanted = EVAL_TOKENS // 16 if this_run().assignment.smoke else EVAL_TOKENS
    available = (len(tokens) - 1) // MAX_SEQ_LEN
    if available < 1:
        raise DataError(f"too little text to evaluate on: {len(tokens)} tokens")
    rows = max(1, min(wanted // MAX_SEQ_LEN, available))
    windows = np.empty((rows, MAX_SEQ_LEN + 1), np.int32)
    for row, start in enumerate(np.arange(rows) * available // rows * MAX_SEQ_LEN):
        windows[row] = tokens[start : start + MAX_SEQ_LEN + 1]
    return torch.from_numpy(windows)


def rows_at_once(on: str) -> int:
    """Rows of a batch of the evaluation: their logits fit the cache of a CPU, or 1/64 of an accelerator's memory."""
    tokens = 2**11
    if on != "cpu":
        mps = on == "mps"
        memory = (
            torch.mps.recommended_max_memory() if mps else torch.cuda.get_device_properties(on).total_memory
        )
        tokens = min(2**16, 2 ** int(math.log2(memory / 64 / (4 * VOCAB_SIZE))))
    return max(1, tokens // MAX_SEQ_LEN)


def score(model: nn.Module, windows: Tensor, run: Run) -> tuple[float, int]:
    """Bits per byte over `windows`, and their bytes: log-softmax in fp32, summed in fp64. BOS is not text.

    Among the rows that are scored, in an order that nobody knows and in batches of one shape, some are asked
    again: as they are, and with another future. Nothing tells a model which row it is asked, or why.
    """
    nn.Module.eval(model)
    half = any(parameter.dtype != torch.float32 for parameter in model.parameters())
    probes = Probes(windows[:, :-1], exact=run.device == "cpu" and not half)
    asked = torch.cat([windows, F.pad(probes.x, (0, 1))]).to(run.device)
    at_once = rows_at_once(run.device)
    order = torch.randperm(len(asked), generator=probes.dice)
    order = torch.cat([order, order[: -len(order) % at_once]])  # the last batch has the shape of the others
    lengths = run.data.token_bytes.to(run.device)
    sums_on = "cpu" if run.device == "mps" else run.device  # MPS has no fp64
    nats = torch.zeros(len(asked), dtype=torch.float64, device=sums_on)
    with random_state_kept(run.device):
        before, first = state_hash(model), asked[order[:at_once].to(run.device), :-1].long()
        at_first = distribution(model, first)
        compare("repeatability", at_first, distribution(model, first), "asking again", probes.exact)
        for batch in torch.split(order, at_once):
            rows = asked[batch.to(run.device)].long()
            goal = rows[:, 1:].flatten()
            logits = logits_of(model, rows[:, :-1].contiguous())
            probes.take(batch.tolist(), logits)
            losses = F.cross_entropy(logits.flatten(0, 1), goal, reduction="none")
            losses = losses.where(lengths[goal] > 0, 0.0).to(sums_on).double()
            nats[batch.to(sums_on)] = losses.view(len(batch), -1).sum(1)
        # Again, with the whole text between: a model that remembers was told the answers by then.
        again = distribution(model, first)
        compare("repeatability", at_first, again, "having seen the rest of the text", probes.exact)
        if state_hash(model) != before:
            raise run.refuse(Rejected("mutation: being asked changed the model's parameters or buffers"))
    nats = nats[: len(windows)].cpu()
    probes.judge(nats)
    total = float(nats.sum())
    size = int(torch.bincount(windows[:, 1:].flatten(), minlength=VOCAB_SIZE) @ run.data.token_bytes)
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
        self.awaited: dict[int, list[tuple[str, int]]] = {}  # by row; the probes come after the text's rows
        for probe, row in enumerate(self.rows.tolist()):
            self.awaited.setdefault(row, []).append(("true", probe))
            self.awaited[len(x) + probe] = [("again", probe)]
        self.exact = exact

    def take(self, batch: list[int], logits: Tensor) -> None:
        """Keep what the judgement needs of the answers to these rows."""
        for at, row in enumerate(batch):
            for key in self.awaited.get(row, ()):
                self.answers[key] = logits[at, self.places[key[1]].to(logits.device)].softmax(-1).cpu()

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
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
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
        description="Prepare the data of this lab, or check it and mend what is damaged.",
        epilog="HF_ENDPOINT names a mirror of the Hugging Face hub; HF_TOKEN is sent to it, where one is needed.",
    )
    parser.add_argument("--source", default=DATA_SOURCE, help="as DATA_SOURCE at the head of this file")
    parser.add_argument("--cache", help="where prepared data goes (default: ~/.cache/autoresearch-tui)")
    parser.add_argument("--workers", type=int, default=0, help="threads that encode (default: one a core)")
    sealed = os.environ.get("AUTORESEARCH_HOLDOUT")
    parser.add_argument(
        "--holdout", type=Path, default=sealed, help="also write the sealed split, to this file"
    )
    asked = parser.parse_args()
    if asked.cache:
        os.environ["AUTORESEARCH_CACHE"] = asked.cache
    try:
        folder = prepare(asked.source, asked.holdout, max(0, asked.workers))
    except (DataError, OSError) as error:
        sys.exit(f"prepare.py: {error}")
    except KeyboardInterrupt:
        print("\nprepare.py: interrupted; started again, it goes on from here", file=sys.stderr)
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
