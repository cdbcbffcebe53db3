"""The corpus: where text comes from, and how it becomes the tokens that the referee (prepare.py) opens.

`python prepare.py` runs this. Any number may start at once and any may be killed: the next one goes on from
there, and the bytes are the same however often and by however many threads. The knobs are at the head of
prepare.py. No run imports this file; the fingerprint of the data covers every byte that it writes.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import errno
import hashlib
import itertools
import json
import logging
import os
import re
import shutil
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.pool import AsyncResult, ThreadPool
from pathlib import Path
from typing import Any, TypeVar

import filelock
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from tqdm.utils import CallbackIOWrapper

import prepare as referee
from prepare import DataError, cache_root, file_sha256, sha256

# ---- Documents: where text comes from, which split it is in, and how it is cut ---------------------------

SPLITS = ("train", "val", "holdout")
Document = tuple[str, str, str]  # split, name, text
Encoded = list[tuple[str, str, int, bytes]]  # split, name, bytes of text, tokens as uint16
Result = TypeVar("Result")

# Of referee.HUB_SOURCES: parquet files, numbered where there are several, and how many there are.
HUB_FILES = {"climbmix": ("shard_{:05d}.parquet", 6543), "tinystories": ("tinystories_gpt4_clean.parquet", 1)}
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
    read: Callable[[int], Iterator[Document]]  # from the n-th document on


def open_corpus(source: str, splits: tuple[str, ...] = SPLITS) -> Corpus:
    """The source, fetched first if need be; of files only those of `splits`. Raises DataError."""
    try:
        if hub_files := hub_parts(source):
            repository = f"karpathy/{referee.HUB_SOURCES[source.partition(':')[0]][0]}"
            return parquet_corpus(
                fetch_parts(repository, [part for part in hub_files if part[1] in ("", *splits)])
            )
        if files := parquet_parts(Path(source).expanduser()):
            return parquet_corpus([part for part in files if part[1] in ("", *splits)])
        return text_corpus(source)
    except OSError as error:
        raise DataError(f"cannot read the data source {source!r}: {error}") from error


def hub_parts(source: str) -> list[tuple[str, str]]:
    """The files of a source on the hub with their splits, "" where each row's name decides. Raises DataError."""
    name, _, shards = source.partition(":")
    if name not in HUB_FILES:
        return []
    (file, count), usual_shards = HUB_FILES[name], referee.HUB_SOURCES[name][1]
    most = max(1, count - 2)
    if shards and not (shards.isdecimal() and 1 <= int(shards) <= most):
        raise DataError(f"the data source {source!r}: {name} has 1 to {most} shards to train on")
    if count == 1:
        return [(file, "")]
    trained_on = [(file.format(number), "train") for number in range(int(shards or usual_shards))]
    return [*trained_on, (file.format(count - 1), "val"), (file.format(count - 2), "holdout")]


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

    def read(start: int) -> Iterator[Document]:
        for path, split in parts:
            rows, _ = sizes[path]
            for row, text in parquet_rows(path, start) if start < rows else ():
                name = f"{path.name}:{row}"
                yield split or split_of(name), name, text
            start = max(0, start - rows)

    return Corpus(digest, sum(text_bytes for _, text_bytes in sizes.values()), read)


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

    def read(start: int) -> Iterator[Document]:
        for name, text in itertools.islice(read_documents(source), start, None):
            yield split_of(name), name, text

    return Corpus(digest.hexdigest(), size, read)


def read_documents(source: str) -> Iterator[tuple[str, str]]:
    """Names and texts, in the order of the names' hashes: the head of a split is a fair sample."""
    root = Path(source).expanduser()
    try:
        if source == "python" or root.is_dir():
            documents = read_files(library_files() if source == "python" else folder_files(root))
        else:
            documents = read_sections(root)
        yield from ((name, text) for name, text in documents if text.strip())
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
    length = referee.SECTION_CHARS
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        sections, text = [], ""
        for number in itertools.count():
            while len(text) <= length and (more := file.read(length)):
                text = (text + more).replace("\r\n", "\n")  # one that is cut in two is whole the next time
            if text:
                sections.append((f"{number:08d}", text[:length]))
            if len(sections) == SECTIONS_AT_ONCE or not text:
                yield from sorted(sections, key=lambda each: sha256(each[0]))
                sections = []
            if not text:
                return
            text = text[length:]


def split_of(name: str) -> str:
    """The split of a document: it stays there whatever else the corpus holds."""
    share, val = int(sha256(name)[:8], 16) % 100, referee.VAL_PERCENT
    return "val" if share < val else "holdout" if share < val + referee.HOLDOUT_PERCENT else "train"


def cut(text: str, boundaries: tuple[str, ...] = (r"(?<=\n\n)(?=\S)", r"(?<=\n)")) -> list[str]:
    """Chunks that joined give `text`, cut at top-level blocks where possible, else lines, else anywhere."""
    most = referee.CHUNK_CHARS
    if len(text) <= most or not most:
        return [text]
    if not boundaries:
        return [text[start : start + most] for start in range(0, len(text), most)]
    chunks = [""]
    for block in re.split(boundaries[0], text):
        for piece in cut(block, boundaries[1:]):
            if len(chunks[-1]) + len(piece) > most:
                chunks.append("")
            chunks[-1] += piece
    return [chunk for chunk in chunks if chunk]


# ---- Fetching: files of the hub, each gone on with where it was cut, and none used that was not verified --

FETCHED_AT_ONCE = 4
FETCH_TRIES = 5  # in a row that brought nothing
RETRY_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0  # doubled each time
BLOCK_BYTES = 2**16  # written at once: what a cut connection may lose
FINAL_ANSWERS = {400, 401, 403, 404, 405, 410, 451}
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS}


def fetch_parts(repository: str, parts: list[tuple[str, str]]) -> list[tuple[Path, str]]:
    """The files, each where it may lie: with rows of the holdout in it, out of the runs' reach."""
    folder = Path("downloads") / repository.rpartition("/")[2]
    roots = (cache_root() if split in ("train", "val") else sealed_root() for _, split in parts)
    targets = {root / folder / file: file for root, (file, _) in zip(roots, parts, strict=True)}
    if missing := {target: file for target, file in targets.items() if not target.exists()}:
        fetch(repository, missing)
    return [(target, split) for target, (_, split) in zip(targets, parts, strict=True)]


def fetch(repository: str, missing: dict[Path, str]) -> None:
    """Fetch these files of the hub to their places. Raises DataError; whatever ends it, what has come is kept."""
    # Read when it is imported: its bars would stand beside ours, and it would tell the hub which agent asks.
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    from huggingface_hub import constants, hf_hub_url

    constants.DOWNLOAD_CHUNK_SIZE = BLOCK_BYTES
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    endpoint = os.environ.get("HF_ENDPOINT") or None
    urls = [hf_hub_url(repository, file, repo_type="dataset", endpoint=endpoint) for file in missing.values()]
    for folder in {target.parent for target in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    # Its threads are daemons: nobody waits for a silent server once this is interrupted.
    with ThreadPool(FETCHED_AT_ONCE) as pool:
        files = list(zip(urls, missing, strict=True))
        size = sum(pool.imap_unordered(lambda file: insist(*file, lambda: described(file[0]).size), files))
        had = sum(map(received_bytes, missing))
        # Of text there is about 2.7 times as much as of parquet, and of tokens two thirds of that.
        need_room(cache_root(), size - had + 1.8 * size)
        with progress_bar("fetching", size, had) as bar:
            for _ in pool.imap_unordered(lambda file: insist(*file, lambda: fetch_file(*file, bar)), files):
                pass
    tell(f"fetched {len(files)} files, {size / 1e6:.0f} MB")


def insist(url: str, target: Path, work: Callable[[], Result]) -> Result:
    """Do the work, as often as it takes; give up when it brings nothing any more. Raises DataError."""
    failures = 0
    while True:
        had = received_bytes(target)
        try:
            return work()
        except Exception as error:  # the client's HTTP library is its own affair, and so are its errors
            failures = 1 if received_bytes(target) > had else failures + 1
            reason, asked_s = reason_to_retry(error, url, target)
            if failures >= FETCH_TRIES:
                kept = f"{received_bytes(target)} bytes have come and are kept: run `python prepare.py` again"
                wayout = f"name a mirror in HF_ENDPOINT, or copy the file to {target.parent}"
                raise DataError(f"cannot fetch {url}: {reason}; {kept}, {wayout}") from error
        tell(f"{target.name}: {reason}, trying again")
        time.sleep(min(max(RETRY_PAUSE_S * 2 ** (failures - 1), asked_s), LONGEST_PAUSE_S))


def reason_to_retry(error: Exception, url: str, target: Path) -> tuple[str, float]:
    """The reason in a line, and how long the server asks to be left alone. Raises DataError if it is final."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        answer, asked_s = error.response, error.response.headers.get("Retry-After", "")
        reason = f"{answer.status_code} {answer.reason_phrase}"
        if answer.status_code in FINAL_ANSWERS:
            raise DataError(f"{url} answers {reason}: see DATA_SOURCE, HF_ENDPOINT, HF_TOKEN") from error
        return reason, float(asked_s) if asked_s.isdecimal() else 0.0
    reason = (str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        raise DataError(f"cannot write to {target.parent}: {reason}; AUTORESEARCH_CACHE moves it") from error
    return reason, 0.0


def described(url: str) -> Any:
    """What the server says of the file: its size and its version. Raises ValueError."""
    from huggingface_hub import get_hf_file_metadata

    metadata = get_hf_file_metadata(url)
    if not metadata.size or not metadata.etag:
        raise ValueError("the server does not say which version it has, or how large it is")
    return metadata


def fetch_file(url: str, target: Path, bar: Any) -> None:
    """Fetch a file, from where it was cut; its sha256 is its etag, where the hub keeps it as a large file."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    remote, headers = described(url), build_hf_headers()
    known_sha256 = remote.etag if re.fullmatch(r"[0-9a-f]{64}", remote.etag) else None
    part = target.with_name(f"{target.name}.{sha256(f'{remote.etag} {remote.size}')[:12]}.part")
    for other_version in set(target.parent.glob(f"{target.name}.*.part")) - {part}:
        other_version.unlink()
    if (had := size_of(part)) < remote.size:
        headers |= {} if known_sha256 else {"If-Range": f'"{remote.etag}"'}
        with part.open("ab", buffering=0) as file:
            counted = CallbackIOWrapper(bar.update, file, "write")
            http_get(url, counted, resume_size=had, headers=headers, expected_size=remote.size)
            os.fsync(file)
    if size_of(part) != remote.size or known_sha256 not in (None, file_sha256(part)):
        part.unlink()
        raise ValueError("its bytes are not what the server says of them")
    part.replace(target)


def received_bytes(target: Path) -> int:
    """Of a file that is being fetched, or was."""
    return max(map(size_of, (target, *target.parent.glob(f"{target.name}.*.part"))))


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def need_room(folder: Path, wanted: float) -> None:
    """Raises DataError where so many bytes would not fit."""
    free = shutil.disk_usage(folder).free
    if wanted > free:
        lack = f"{folder} needs about {wanted / 1e9:.1f} GB and has {free / 1e9:.1f} GB free"
        raise DataError(f"{lack}: AUTORESEARCH_CACHE moves it, and fewer shards (climbmix:2) need less")


# ---- Preparing: one tokenizer, one array of tokens per split, in a folder named by what is in it ---------

GIANT_SHARE = 0.25  # of a split, from which a single document is named
BATCH_CHARS = 2**18  # encoded at once by each thread
JOURNAL_S = 1.0  # how much work a killed preparation loses
LEFTOVER_S = 7 * 86400.0  # after which nobody will go on with it


def sealed_root() -> Path:
    """Where the holdout's text and tokens live: a lab hides this folder from its runs."""
    return cache_root().with_name(f"{cache_root().name}-sealed")


def prepare(source: str, holdout: Path | None = None, workers: int = 0) -> Path:
    """The folder of the prepared data, made if need be; with `holdout`, that split's tokens in this file.

    `workers` threads encode, by default one a core. What was prepared from the hub is not asked for again.
    """
    if not 258 <= referee.VOCAB_SIZE <= 2**16:
        size = f"VOCAB_SIZE = {referee.VOCAB_SIZE}"
        raise DataError(f"{size}: 258 to 65536 are possible, for tokens are kept as uint16")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with locked():
        pointer, is_on_hub = referee.pointer_of(source), bool(hub_parts(source))
        folder = intact_folder(pointer)
        if not folder or not is_on_hub:
            corpus = open_corpus(source)
            if folder and manifest_of(folder)["source_sha256"] != corpus.sha256:
                tell("the source has changed since it was prepared")
                folder = None
            if not folder:
                folder = make_folder(corpus, workers or cores)
                pointer.with_suffix(".new").write_text(folder.name)
                pointer.with_suffix(".new").replace(pointer)
        if holdout:
            seal_holdout(holdout, folder, source, workers or cores)
    return folder


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """The cache for one process at a time; the lock of a killed one is gone with it."""
    root, lock = cache_root(), filelock.FileLock(cache_root() / ".lock")
    try:
        root.mkdir(parents=True, exist_ok=True)
        sealed_root().mkdir(exist_ok=True, mode=0o700)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            tell("another prepare.py is at work, waiting for it")
            lock.acquire()
    except OSError as error:
        raise DataError(f"cannot write to {root} ({error.strerror}); AUTORESEARCH_CACHE moves it") from error
    try:
        yield
    finally:
        lock.release()


def intact_folder(pointer: Path) -> Path | None:
    """What was prepared, unless it is damaged: that is told."""
    try:
        folder = cache_root() / pointer.read_text()
        referee.check_folder(folder)
        return folder
    except FileNotFoundError:
        return None
    except DataError as error:
        tell(f"{error}; preparing it again")
        return None


def manifest_of(folder: Path) -> dict[str, Any]:
    """What is said about prepared data, beside it."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def make_folder(corpus: Corpus, workers: int) -> Path:
    """Tokenizer, tokens and manifest in a folder of the cache. A draft of the same that was left is gone on with."""
    root, key = cache_root(), sha256(json.dumps([corpus.sha256, referee.data_parameters()]))[:16]
    draft, sealed = root / f".draft-{key}", sealed_root() / f".draft-{key}.bin"
    for leftover in (*root.glob(".draft-*"), *sealed_root().glob(".draft-*")):
        if time.time() - leftover.stat().st_mtime > LEFTOVER_S:  # the lock is ours: nobody is at it
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    draft.mkdir(exist_ok=True)
    need_room(draft, 0.7 * corpus.text_bytes - sum(map(size_of, draft.iterdir())))
    folder, replaced = root / write_data(draft, sealed, corpus, workers), root / ".draft-replaced"
    sealed.replace(sealed_root() / f"{folder.name}.bin")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():
        folder.rename(replaced)
    draft.rename(folder)
    shutil.rmtree(replaced, ignore_errors=True)
    return folder


def write_data(folder: Path, sealed: Path, corpus: Corpus, workers: int) -> str:
    """Tokenizer, tokens and manifest into `folder`, the holdout's tokens into `sealed`; returns the fingerprint."""
    tokenizer, journal = folder / "tokenizer.json", folder / "journal.json"
    if not tokenizer.exists():
        train_tokenizer(corpus, workers).save(str(folder / "tokenizer.new"))
        (folder / "tokenizer.new").rename(tokenizer)
    token_bytes_of(Tokenizer.from_file(str(tokenizer))).tofile(folder / "token_bytes.bin")
    files = {"train": folder / "train.bin", "val": folder / "val.bin", "holdout": sealed}
    tally = write_tokens(files, corpus, tokenizer, workers, journal)
    tally.tell_giants()
    needed = 8 * referee.MAX_SEQ_LEN + 1
    for split, tokens in tally.tokens.items():
        if tokens < needed:
            raise DataError(f"too little text: its {split} split has {tokens} tokens of {needed} needed")
    hashed = {f"{split}.bin": path for split, path in files.items()}
    hashed |= {name: folder / name for name in ("token_bytes.bin", "tokenizer.json")}
    hashes = {name: file_sha256(path) for name, path in sorted(hashed.items())}
    parameters = referee.data_parameters()
    manifest: dict[str, Any] = {"parameters": parameters, "source_sha256": corpus.sha256, "files": hashes}
    manifest |= {"fingerprint": referee.fingerprint_of(manifest), "documents": tally.documents}
    manifest["splits"] = {name: {"tokens": tally.tokens[name], "bytes": tally.bytes[name]} for name in SPLITS}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    journal.unlink(missing_ok=True)
    return str(manifest["fingerprint"])


def seal_holdout(path: Path, folder: Path, source: str, workers: int) -> None:
    """The holdout's tokens in `path`, which only its owner may read. Raises DataError."""
    expected, kept = manifest_of(folder)["files"]["holdout.bin"], sealed_root() / f"{folder.name}.bin"
    if path.exists() and file_sha256(path) == expected:
        return
    if not kept.exists() or file_sha256(kept) != expected:
        kept.unlink(missing_ok=True)
        write_tokens({"holdout": kept}, open_corpus(source, ("holdout",)), folder / "tokenizer.json", workers)
    if file_sha256(kept) != expected:
        raise DataError(f"the holdout came out other than in {folder}: remove that folder and prepare again")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    shutil.copyfile(kept, draft)
    draft.replace(path)


def train_tokenizer(corpus: Corpus, workers: int) -> Tokenizer:
    """Byte-level BPE over all 256 bytes. BOS is not in it, so no text can spell it."""
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if workers > 1 else "false"
    tokenizer, size = Tokenizer(models.BPE()), referee.VOCAB_SIZE - 1
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)

    def learn_from(bar: Any) -> Iterator[str]:
        texts = (text for split, _, text in corpus.read(0) if split == "train" and text.strip())
        for chunk in itertools.chain.from_iterable(map(cut, texts)):
            if bar.n + len(chunk) > referee.TOKENIZER_CHARS:
                return
            bar.update(len(chunk))
            yield chunk

    with progress_bar("tokenizer", min(corpus.text_bytes, referee.TOKENIZER_CHARS)) as bar:
        tokenizer.train_from_iterator(learn_from(bar), trainer)
    tell(f"tokenizer: {tokenizer.get_vocab_size()} tokens from {bar.n / 1e6:.1f} MB")
    return tokenizer


def token_bytes_of(tokenizer: Tokenizer) -> np.ndarray[Any, np.dtype[np.int32]]:
    """How many bytes of text each id stands for, int32 [VOCAB_SIZE]; 0 for BOS, which is never scored."""
    lengths = np.zeros(referee.VOCAB_SIZE, np.int32)
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
        self.largest[split] = max(self.largest[split], (size, name), key=lambda each: each[0])

    def tell_giants(self) -> None:
        """Name a document that is much of its split: a gain may then be one on that kind of text alone."""
        for split, (size, name) in self.largest.items():
            if name and (share := size / self.bytes[split]) > GIANT_SHARE:
                tell(f"{name} is {share:.0%} of {split}: scores there are of that text above all")

    def keep(self, journal: Path, files: Iterable[Any]) -> None:
        """Into the journal, once the disk has what it says."""
        for file in files:
            file.flush()
            os.fsync(file)
        journal.with_suffix(".new").write_text(json.dumps(asdict(self)))
        journal.with_suffix(".new").replace(journal)

    @staticmethod
    def resumed(journal: Path | None, files: dict[str, Path]) -> Tally:
        """What the journal says, where the files hold as much; else a fresh one."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = Tally(**json.loads(journal.read_text())) if journal else Tally()
            if all(size_of(files[split]) >= 2 * kept.tokens[split] for split in files):
                return kept
        return Tally()


def write_tokens(
    files: dict[str, Path], corpus: Corpus, tokenizer: Path, workers: int, journal: Path | None = None
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
        kept_s = time.monotonic()
        bar = stack.enter_context(progress_bar("tokens", corpus.text_bytes, sum(tally.bytes.values())))
        for read, encoded in in_order(encode, batched(corpus.read(tally.read)), workers):
            tally.read += read
            for split, name, size, tokens in encoded:
                opened[split].write(tokens)
                tally.count(split, name, size, len(tokens) // 2)
                bar.update(size)
            if journal and time.monotonic() - kept_s > JOURNAL_S:
                tally.keep(journal, opened.values())
                kept_s = time.monotonic()
    tell(f"tokens: {', '.join(f'{split} {tally.tokens[split]}' for split in files)}")
    return tally


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
        ids = iter(own.tokenizer.encode_batch_fast([chunk for *_, chunks in wanted for chunk in chunks]))
        encoded = []
        for split, name, chunks in wanted:
            tokens = b"".join(np.array([referee.BOS, *next(ids).ids], np.uint16).tobytes() for _ in chunks)
            encoded.append((split, name, sum(len(chunk.encode()) for chunk in chunks), tokens))
        return len(batch), encoded

    return encode


def in_order(
    work: Callable[[list[Document]], tuple[int, Encoded]], batches: Iterator[list[Document]], workers: int
) -> Iterator[tuple[int, Encoded]]:
    """`work` on each batch in threads, a few ahead of what is taken; the answers come in the batches' order."""
    ahead = collections.deque[AsyncResult[tuple[int, Encoded]]]()
    with ThreadPool(workers) as pool:
        for batch in batches:
            ahead.append(pool.apply_async(work, [batch]))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().get()
        while ahead:
            yield ahead.popleft().get()


# ---- The command line of `python prepare.py`, and what it says -------------------------------------------


def tell(text: str) -> None:
    """Say a line, above any bar."""
    tqdm.write(text, file=sys.stderr)


def progress_bar(what: str, total_bytes: int, done_bytes: int = 0) -> Any:
    """A bar on a terminal; elsewhere its text, every two seconds at most."""
    interval_s = 0.1 if sys.stderr.isatty() else 2.0
    size: dict[str, Any] = {"total": total_bytes, "initial": done_bytes, "unit": "B", "unit_scale": True}
    return tqdm(desc=what, mininterval=interval_s, dynamic_ncols=True, leave=False, **size)


def main() -> None:
    """Prepare the data, or check that it is there."""
    parser = argparse.ArgumentParser(
        prog="prepare.py",
        description="Prepare the data of this lab, or check it and mend what is damaged.",
        epilog="HF_ENDPOINT names a mirror of the Hugging Face hub; HF_TOKEN is sent to it, where one is needed.",
    )
    parser.add_argument("--source", default=referee.DATA_SOURCE, help="as DATA_SOURCE in prepare.py")
    parser.add_argument("--cache", help="where prepared data goes (default: ~/.cache/autoresearch-tui)")
    parser.add_argument("--workers", type=int, default=0, help="threads that encode (default: one a core)")
    sealed = os.environ.get("AUTORESEARCH_HOLDOUT")
    parser.add_argument(
        "--holdout", type=Path, default=sealed, help="also write the sealed split to this file"
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
    splits = manifest_of(folder)["splits"].items()
    print("data:", ", ".join(f"{split} {counts['tokens'] / 1e6:.2f} M tokens" for split, counts in splits))
    print(f"ready: {folder}")
    print(f"data_fingerprint: {folder.name}")
    if asked.source != referee.DATA_SOURCE:
        print(f"a run takes it with DATA_SOURCE = {asked.source!r} at the head of prepare.py")
