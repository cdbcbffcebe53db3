"""Documents, splits, tokens and the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

Prepare = Callable[[Path, Path], Any]  # of a source and a cache; see conftest
Start = Callable[..., subprocess.Popen[bytes]]


def folder_of(cache: Path) -> Path:
    (pointer,) = cache.glob("*.current")
    return cache / pointer.read_text()


def test_chunks_join_to_the_text_and_begin_at_top_level(referee: ModuleType, corpus_code: ModuleType) -> None:
    block = "def f():\n" + "    x = 1\n" * 60
    text = "\n\n".join([block] * 20)
    chunks = corpus_code.cut(text)
    assert "".join(chunks) == text
    assert all(len(chunk) <= referee.CHUNK_CHARS for chunk in chunks)
    assert all(chunk.startswith("def f()") for chunk in chunks)


@pytest.mark.parametrize("text", ["", "é" * 9000, "line\n" * 3000, "\n\n\n" * 3000, "a\n\n b" * 3000])
def test_any_text_can_be_cut(referee: ModuleType, corpus_code: ModuleType, text: str) -> None:
    chunks = corpus_code.cut(text)
    assert "".join(chunks) == text
    assert all(len(chunk) <= referee.CHUNK_CHARS for chunk in chunks)


def test_tokens_spell_the_text_and_their_bytes_are_its_bytes(
    referee: ModuleType, corpus_code: ModuleType, cache: Path, corpus: Path, tmp_path: Path
) -> None:
    folder = folder_of(cache)
    sealed = tmp_path / "sealed" / "holdout.bin"
    assert corpus_code.prepare(str(corpus), sealed) == folder
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    assert stat.S_IMODE(sealed.parent.stat().st_mode) == 0o700
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    manifest = json.loads((folder / "manifest.json").read_text())
    lengths = np.fromfile(folder / "token_bytes.bin", np.int32)
    for split in ("train", "val", "holdout"):
        tokens = np.fromfile(sealed if split == "holdout" else folder / f"{split}.bin", np.uint16)
        expected = "".join(
            t for n, t in corpus_code.read_documents(str(corpus)) if corpus_code.split_of(n) == split
        )
        assert tokenizer.decode(tokens[tokens != referee.BOS].tolist()) == expected
        assert lengths[tokens].sum() == len(expected.encode()) == manifest["splits"][split]["bytes"]
    assert lengths[referee.BOS] == 0


def test_text_cannot_spell_bos(referee: ModuleType, cache: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder_of(cache) / "tokenizer.json"))
    assert tokenizer.get_vocab_size() < referee.VOCAB_SIZE
    assert tokenizer.token_to_id("<|bos|>") is None


def test_documents_are_in_one_split_each(corpus_code: ModuleType, corpus: Path) -> None:
    names = [name for name, _ in corpus_code.read_documents(str(corpus))]
    splits = {
        split: {name for name in names if corpus_code.split_of(name) == split} for split in corpus_code.SPLITS
    }
    assert sum(map(len, splits.values())) == len(set(names)) == 60
    assert all(splits.values())
    many = [corpus_code.split_of(f"pkg/module_{number}.py") for number in range(20000)]
    assert 0.07 < many.count("val") / 20000 < 0.09
    assert 0.07 < many.count("holdout") / 20000 < 0.09


def tally_of(corpus_code: ModuleType, documents: list[tuple[str, str]]) -> Any:
    tally = corpus_code.Tally()
    for name, text in documents:
        tally.count(corpus_code.split_of(name), name, len(text.encode()), 1)
    return tally


def test_a_document_that_is_much_of_its_split_is_named(
    corpus_code: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [(f"page-{n}", "x" * 100) for n in range(400)]
    tally_of(corpus_code, documents).tell_giants()
    assert capsys.readouterr().err == ""
    held = next(name for name, _ in documents if corpus_code.split_of(name) == "holdout")
    documents.append((held, "y" * 90_000))
    tally_of(corpus_code, documents).tell_giants()
    assert f"{held} is 9" in capsys.readouterr().err


def test_no_document_of_the_default_corpus_is_a_giant(
    corpus_code: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    tally_of(corpus_code, list(corpus_code.read_documents("python"))).tell_giants()
    assert capsys.readouterr().err == ""


def test_python_source_is_the_library_without_tests(corpus_code: ModuleType) -> None:
    names = {name for name, _ in corpus_code.library_files()}
    assert {"ast.py", "json/decoder.py"} <= names
    assert not [
        name for name in names if "/tests/" in f"/{name}" or "/test/" in f"/{name}" or "packages" in name
    ]


def test_hidden_and_binary_files_are_passed_over(corpus_code: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text\r\nwith \xff\n")
    (tmp_path / "b.bin").write_bytes(b"\0\1\2")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    assert list(corpus_code.read_documents(str(tmp_path))) == [("a.txt", "text\nwith �\n")]


def test_one_file_is_split_by_section(corpus_code: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("word " * 2**20)
    documents = corpus_code.read_documents(str(tmp_path / "book.txt"))
    assert {corpus_code.split_of(name) for name, _ in documents} == {"train", "val", "holdout"}


def test_same_text_gives_the_same_bytes(
    corpus: Path, cache: Path, tmp_path: Path, prepare_data: Prepare
) -> None:
    moved = shutil.copytree(corpus, tmp_path / "elsewhere")
    other = tmp_path / "cache"
    assert prepare_data(moved, other).exit_code is None
    first, second = folder_of(cache), folder_of(other)
    assert first.name == second.name
    assert sorted(path.name for path in first.iterdir()) == sorted(path.name for path in second.iterdir())
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_a_second_start_changes_nothing(corpus: Path, cache: Path, prepare_data: Prepare) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder_of(cache).iterdir()}
    done = prepare_data(corpus, cache)
    assert done.exit_code is None
    assert f"ready: {folder_of(cache)}" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in folder_of(cache).iterdir()} == before


def test_other_text_gets_another_folder(
    corpus: Path, cache: Path, tmp_path: Path, prepare_data: Prepare
) -> None:
    source, other = shutil.copytree(corpus, tmp_path / "corpus"), shutil.copytree(cache, tmp_path / "cache")
    first = folder_of(other).name
    next(other.glob("*.current")).unlink()
    assert prepare_data(source, other).exit_code is None
    assert folder_of(other).name == first
    (source / "part0" / "00.txt").write_text("another text\n")
    done = prepare_data(source, other)
    assert "source has changed" in done.stderr
    assert folder_of(other).name != first


@pytest.mark.parametrize("name", ["train.bin", "val.bin", "token_bytes.bin", "manifest.json"])
def test_damage_is_found_and_mended(
    corpus: Path, cache: Path, tmp_path: Path, prepare_data: Prepare, name: str
) -> None:
    damaged = shutil.copytree(cache, tmp_path / "cache")
    path = folder_of(damaged) / name
    data = path.read_bytes()
    status = path.stat()
    path.write_bytes(
        data.replace(b'"documents": 60', b'"documents": 61').replace(b'bin": "', b'bin": "0')[:-2] + b"??"
    )
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = prepare_data(corpus, damaged)
    assert done.exit_code is None, done.stderr
    assert "preparing it again" in done.stderr
    assert path.read_bytes() == data


def test_a_manifest_that_was_made_to_fit_is_found(referee: ModuleType, cache: Path, tmp_path: Path) -> None:
    folder = folder_of(shutil.copytree(cache, tmp_path / "cache"))
    (folder / "val.bin").write_bytes(b"\7\0" * 5000)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["val.bin"] = referee.file_sha256(folder / "val.bin")
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(referee.DataError, match="damaged"):
        referee.check_folder(folder)


def test_damage_without_the_source_is_one_line(
    referee: ModuleType,
    corpus_code: ModuleType,
    cache: Path,
    tmp_path: Path,
    corpus: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, own = tmp_path / "corpus", tmp_path / "cache"
    shutil.copytree(corpus, source)
    monkeypatch.setenv("AUTORESEARCH_SOURCE", str(source))
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(own))
    folder = corpus_code.prepare(str(source))
    shutil.rmtree(source)
    assert referee.open_data().fingerprint == folder.name  # a run does not need the source
    with (folder / "val.bin").open("r+b") as file:
        file.write(b"\xff\xff")
    command = re.escape(f"{sys.executable} prepare.py --source {source} --cache {own}")
    with pytest.raises(referee.DataError, match=rf"^no data: .* is damaged; run `{command}`$"):
        referee.open_data()


def test_the_holdout_never_lies_in_the_cache(cache: Path) -> None:
    assert not [path for path in cache.rglob("*") if "holdout" in path.name]


@pytest.mark.parametrize("what", ["gone", "damaged"])
def test_the_sealed_holdout_is_mended(
    corpus_code: ModuleType,
    corpus: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    sealed = tmp_path / "holdout.bin"
    monkeypatch.setenv("AUTORESEARCH_CACHE", str(cache))
    corpus_code.prepare(str(corpus), sealed)
    data = sealed.read_bytes()
    sealed.unlink()
    if what == "damaged":
        sealed.write_bytes(data[:-2] + b"??")
    corpus_code.prepare(str(corpus), sealed)
    assert sealed.read_bytes() == data


@pytest.mark.parametrize(
    ("make", "says"), [("nothing", "cannot read"), ("empty", "too little"), ("small", "too little")]
)
def test_a_bad_source_is_one_line(tmp_path: Path, prepare_data: Prepare, make: str, says: str) -> None:
    if make != "nothing":
        (tmp_path / "source").mkdir()
    if make == "small":
        (tmp_path / "source" / "a.txt").write_text("too short")
    done = prepare_data(tmp_path / "source", tmp_path / "cache")
    assert says in str(done.exit_code)
    assert "\n" not in str(done.exit_code)


def test_a_cache_that_cannot_be_written_is_one_line(
    corpus: Path, tmp_path: Path, prepare_data: Prepare
) -> None:
    (tmp_path / "file").write_text("")
    done = prepare_data(corpus, tmp_path / "file" / "cache")
    assert "AUTORESEARCH_CACHE" in str(done.exit_code)


def test_many_may_start_at_once(corpus: Path, cache: Path, tmp_path: Path, start_preparing: Start) -> None:
    processes = [start_preparing(corpus, tmp_path) for _ in range(3)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    assert folder_of(tmp_path).name == folder_of(cache).name
    assert not list(tmp_path.glob(".draft-*"))


def test_killed_midway_leaves_nothing_in_the_way(
    corpus: Path, cache: Path, tmp_path: Path, prepare_data: Prepare, start_preparing: Start
) -> None:
    process = start_preparing(corpus, tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".draft-*/train.bin")):
        assert process.poll() is None and time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=10)
    assert list(tmp_path.glob(".draft-*")) and not list(tmp_path.glob("*.current"))
    assert prepare_data(corpus, tmp_path).exit_code is None
    assert folder_of(tmp_path).name == folder_of(cache).name
    assert not list(tmp_path.glob(".draft-*"))
