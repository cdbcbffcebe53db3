"""Parquet, files larger than memory, and tokens that come out the same whoever made them and however often."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from tokenizers import Tokenizer

from tests.referee.conftest import PREPARE, clean_environment, story, write_parquet

# What the referee wrote before it knew streams: scores that were taken then still hold.
OLD_CORPUS = "94ac792f94453145"
OLD_BOOK = "8440c8623b631772"
OLD_LIBRARY = {  # of CPython 3.11.7
    "holdout.bin": "87787d618ac741635056ce94c7d2e80b8e5f2f62680b3bc367430780a6a2f81c",
    "token_bytes.bin": "77469b634d2e0fb0944d77a8faba7e3539e79ed6a94e46cb5354ef049ac71bab",
    "tokenizer.json": "fc51bccce0713c19cc51fc530f0ea12f75cf4fa301f17f708ea2d6753881c31c",
    "train.bin": "2afa7e70a3e040bb3d44e8c621aceedfc3842eb2201ff1921a08fe3f47f6b4d6",
    "val.bin": "d588d6a328f863f7ebeb9344e8f77333261f71e3a055c712eec2db6c6c2698a0",
}
OLD_LIBRARY_TEXT = "10e6cc2960eae689807fe9a8b9ae5c10e9674e683c160b2ffe05d6455dfb4818"


@pytest.fixture
def preparer(corpus_code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The corpus's code with a cache of its own and a small vocabulary, which is learnt in no time."""
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(corpus_code.referee, "VOCAB_SIZE", 400)
    monkeypatch.setattr(corpus_code.referee, "BOS", 399)
    return corpus_code


def rows_of(seed: int, count: int) -> list[str | None]:
    dice = random.Random(seed)
    return [story(dice, f"file {seed} row {row}") for row in range(count)]


def manifest_of(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def documents_in(tokens: Path, folder: Path, bos: int) -> list[str]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    numbers = np.fromfile(tokens, np.uint16)
    pieces = np.split(numbers, np.flatnonzero(numbers == bos))[1:]
    return [tokenizer.decode(piece[1:].tolist()) for piece in pieces]


def test_text_comes_out_as_it_did(corpus_code: ModuleType, corpus: Path, cache: Path, tmp_path: Path) -> None:
    (pointer,) = cache.glob("*.current")
    assert pointer.read_text() == OLD_CORPUS
    book = tmp_path / "book.txt"
    book.write_text("".join(path.read_text() for path in sorted(corpus.rglob("*.txt"))) * 30)
    corpus_code.os.environ["AUTORESEARCH_CACHE"] = str(tmp_path / "cache")
    assert corpus_code.prepare(str(book)).name == OLD_BOOK


def test_the_default_source_comes_out_as_it_did(
    corpus_code: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if corpus_code.text_corpus("python").sha256 != OLD_LIBRARY_TEXT:
        pytest.skip("another standard library than the one whose bytes are known")
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path))
    assert manifest_of(corpus_code.prepare("python"))["files"] == OLD_LIBRARY


def test_a_folder_of_parquet_holds_its_last_files_back(preparer: ModuleType, tmp_path: Path) -> None:
    rows = {number: rows_of(number, 60) for number in range(4)}
    for number in rows:
        write_parquet(tmp_path / "source" / f"{number}.parquet", rows[number])
    (tmp_path / "source" / ".hidden.parquet").write_text("not parquet")
    preparer.referee.CHUNK_CHARS = 0
    folder = preparer.prepare(str(tmp_path / "source"), tmp_path / "held.bin")
    read = {split: documents_in(folder / f"{split}.bin", folder, 399) for split in ("train", "val")}
    assert read["train"] == [*rows[0], *rows[1]]
    assert read["val"] == rows[3]
    assert documents_in(tmp_path / "held.bin", folder, 399) == rows[2]


@pytest.mark.parametrize("files", [1, 2])
def test_less_than_three_files_are_split_by_rows(preparer: ModuleType, tmp_path: Path, files: int) -> None:
    source = tmp_path / "source"
    rows = {number: rows_of(number, 150) for number in range(files)}
    for number in rows:
        write_parquet(source / f"{number}.parquet", rows[number])
    preparer.referee.CHUNK_CHARS = 0
    one = source / "0.parquet" if files == 1 else source
    folder = preparer.prepare(str(one), tmp_path / "held.bin")
    for split in preparer.SPLITS:
        tokens = tmp_path / "held.bin" if split == "holdout" else folder / f"{split}.bin"
        assert documents_in(tokens, folder, 399) == [
            text
            for number in rows
            for row, text in enumerate(rows[number])
            if preparer.split_of(f"{number}.parquet:{row}") == split
        ]


def test_rows_are_read_from_anywhere(preparer: ModuleType, tmp_path: Path) -> None:
    rows = [None if row % 7 == 3 else f"row {row}" for row in range(100)]
    first = write_parquet(tmp_path / "a.parquet", rows, rows_a_group=30)
    second = write_parquet(tmp_path / "b.parquet", [f"other {row}" for row in range(50)], rows_a_group=7)
    read = preparer.parquet_corpus([(first, "train"), (second, "val")]).read
    whole = list(read(0))
    assert [text for _, _, text in whole[:100]] == [text or "" for text in rows]
    assert whole[100] == ("val", "b.parquet:0", "other 0")
    for start in (0, 1, 29, 30, 31, 64, 99, 100, 101, 149, 150):
        assert list(read(start)) == whole[start:], start


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PAR1 is not enough", "cannot be read as parquet"),
        (b"", "cannot be read as parquet"),
        (None, "column"),
    ],
)
def test_a_bad_parquet_file_is_one_line(
    preparer: ModuleType, tmp_path: Path, data: bytes | None, says: str
) -> None:
    path = tmp_path / "bad.parquet"
    if data is None:
        pyarrow.parquet.write_table(pyarrow.table({"words": ["a"], "more": ["b"]}), path)
    else:
        path.write_bytes(data)
    with pytest.raises(preparer.DataError, match=says) as caught:
        preparer.prepare(str(path))
    assert "\n" not in str(caught.value)


def test_damage_in_the_middle_of_a_parquet_file_is_one_line(preparer: ModuleType, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "bad.parquet", rows_of(0, 200))
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(preparer.DataError, match=r"bad.parquet cannot be read as parquet"):
        preparer.prepare(str(path))


def test_documents_stay_whole_where_they_are_not_to_be_cut(preparer: ModuleType) -> None:
    text = "line\n" * 10_000
    assert len(preparer.cut(text)) > 10
    preparer.referee.CHUNK_CHARS = 0
    assert preparer.cut(text) == [text]


@pytest.mark.parametrize("size", [257, 65537])
def test_a_vocabulary_that_cannot_be_kept_is_told(preparer: ModuleType, tmp_path: Path, size: int) -> None:
    preparer.referee.VOCAB_SIZE = size
    with pytest.raises(preparer.DataError, match="VOCAB_SIZE"):
        preparer.prepare("python")


def test_the_largest_vocabulary_fits(preparer: ModuleType, tmp_path: Path) -> None:
    preparer.referee.VOCAB_SIZE, preparer.referee.BOS = 2**16, 2**16 - 1
    path = write_parquet(tmp_path / "a.parquet", rows_of(0, 200))
    folder = preparer.prepare(str(path))
    tokens = np.fromfile(folder / "train.bin", np.uint16)
    assert (tokens == 65535).sum() >= sum(
        preparer.split_of(f"a.parquet:{row}") == "train" for row in range(200)
    )
    assert np.fromfile(folder / "token_bytes.bin", np.int32).shape == (65536,)


@pytest.mark.parametrize("break_at", [9, 10, 11, 20, 21])
def test_a_long_file_is_read_in_pieces(preparer: ModuleType, tmp_path: Path, break_at: int) -> None:
    text = "é" * break_at + "\r\n" + "日本語" * 40 + "\r" + "x" * 7 + "\r\n"
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode() + b"\xff\xe6\x97")
    preparer.referee.SECTION_CHARS, preparer.SECTIONS_AT_ONCE = 10, 4
    whole = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    sections = list(preparer.read_sections(path))
    assert "".join(text for _, text in sorted(sections)) == whole
    assert {len(text) for _, text in sorted(sections)[:-1]} == {10}
    for start in range(0, len(sections), 4):  # sorted a few at a time
        few = [name for name, _ in sections[start : start + 4]]
        assert few == sorted(few, key=preparer.sha256)
        assert {int(name) // 4 for name in few} == {start // 4}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 MB of text in two files."""
    folder = tmp_path_factory.mktemp("parquet")
    for number in range(2):
        write_parquet(folder / f"{number}.parquet", rows_of(number, 800))
    return folder


def bytes_of(corpus_code: ModuleType, folder: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {"holdout.bin": (corpus_code.sealed_root() / f"{folder.name}.bin").read_bytes()}


@pytest.fixture(scope="module")
def known() -> dict[str, bytes]:
    return {}


@pytest.fixture
def whole(preparer: ModuleType, parquet: Path, known: dict[str, bytes]) -> dict[str, bytes]:
    """What undisturbed preparing makes of it."""
    if not known:
        known |= bytes_of(preparer, preparer.prepare(str(parquet), workers=1))
    return known


def test_the_number_of_workers_changes_no_byte(
    preparer: ModuleType,
    parquet: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for workers in (2, 5):
        monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / f"{workers}"))
        assert bytes_of(preparer, preparer.prepare(str(parquet), workers=workers)) == whole


CHILD = """
import corpus, prepare, sys
prepare.VOCAB_SIZE, prepare.BOS = 400, 399
corpus.JOURNAL_S = 0.0
corpus.prepare(sys.argv[1], workers=2)
"""


def start_child(source: Path, cache: Path, script: str = CHILD) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", script, str(source)]
    environment = clean_environment(AUTORESEARCH_CACHE=str(cache))
    return subprocess.Popen(argv, env=environment, text=True, stdout=subprocess.PIPE)


def journal_of(cache: Path) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in cache.glob(".draft-*/journal.json")]
    return found[0] if found else {"read": 0}


def test_killed_again_and_again_it_goes_on(
    preparer: ModuleType,
    parquet: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "killed"))
    cache, reached = preparer.cache_root(), 0
    for _ in range(2):
        process, deadline = start_child(parquet, cache), time.monotonic() + 60
        while journal_of(cache)["read"] <= reached:
            assert process.poll() is None and time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
        assert not list(cache.glob("*.current"))
        assert journal_of(cache)["read"] > reached
        reached = journal_of(cache)["read"]
    (draft,) = cache.glob(".draft-*")
    with (draft / "train.bin").open("ab") as file:
        file.write(b"half a batch")  # what was written after the journal
    starts, corpus_of = [], preparer.parquet_corpus

    def watched(parts: list[tuple[Path, str]]) -> Any:
        corpus = corpus_of(parts)
        return preparer.Corpus(corpus.sha256, corpus.text_bytes, lambda n: starts.append(n) or corpus.read(n))

    monkeypatch.setattr(preparer, "parquet_corpus", watched)
    assert bytes_of(preparer, preparer.prepare(str(parquet))) == whole
    assert starts == [reached]  # neither the tokenizer nor what was encoded is done again
    assert not list(cache.glob(".draft-*")) and not list(preparer.sealed_root().glob(".draft-*"))


def test_a_draft_that_lost_something_is_begun_anew(
    preparer: ModuleType,
    parquet: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "killed"))
    keep = preparer.Tally.keep

    def then_stop(*given: Any) -> None:
        keep(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(preparer, "JOURNAL_S", 0.0)
        interrupted.setattr(preparer.Tally, "keep", then_stop)
        with pytest.raises(KeyboardInterrupt):
            preparer.prepare(str(parquet))
    assert journal_of(preparer.cache_root())["read"] > 0
    (held,) = preparer.sealed_root().glob(".draft-*.bin")
    held.unlink()
    assert bytes_of(preparer, preparer.prepare(str(parquet))) == whole


MEASURED = (
    CHILD.replace("corpus.prepare", "prepare.TOKENIZER_CHARS = 2**20\ncorpus.prepare")
    + """
import pathlib
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
)


def peak_mb(source: Path, cache: Path) -> float:
    process = start_child(source, cache, MEASURED)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return int(said.split()[-1]) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    # One group of rows: as bad as a file can be. The text is simple, or this would take minutes.
    line = "one two three four five six seven eight nine ten " * 80
    for name, count in (("small", 1500), ("large", 6000)):
        write_parquet(tmp_path / f"{name}.parquet", [f"{row} {line}" for row in range(count)], 10**6)
    small = peak_mb(tmp_path / "small.parquet", tmp_path / "a")
    large = peak_mb(tmp_path / "large.parquet", tmp_path / "b")
    assert large - small < 10, f"{small:.0f} MB for 6 MB of text, {large:.0f} MB for 24"


def test_a_run_pays_for_no_parquet(run_canvas: Callable[..., Any]) -> None:
    ended = run_canvas("next(prepare.batches(1)); print('pyarrow' in sys.modules)")
    assert ended.stdout.splitlines()[-1] == "False", ended.stderr


def test_prepare_itself_imports_no_http() -> None:
    lines = PREPARE.read_text().splitlines()
    imports = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert not imports & {"urllib", "http", "pyarrow", "ssl"}


def test_interrupted_while_encoding_it_goes_on(
    preparer: ModuleType,
    parquet: Path,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(tmp_path / "stopped"))
    script = CHILD.replace("corpus.prepare(sys.argv[1], workers=2)", "corpus.main()")
    argv = [sys.executable, "-c", script, "--source", str(parquet), "--workers", "2"]
    environment = clean_environment(AUTORESEARCH_CACHE=str(preparer.cache_root()))
    process = subprocess.Popen(argv, env=environment, text=True, stderr=subprocess.PIPE)
    while journal_of(preparer.cache_root())["read"] == 0:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "goes on from here" in said and "Traceback" not in said
    reached = journal_of(preparer.cache_root())["read"]
    assert 0 < reached < 1600
    assert bytes_of(preparer, preparer.prepare(str(parquet))) == whole
