"""Files of the hub, over a real socket: cut, busy, changed, lying and silent servers."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from huggingface_hub import constants
from tokenizers import Tokenizer

from tests.referee.conftest import clean_environment, story, write_parquet
from tests.referee.hub import Hub

VAL, HELD = "shard_06542.parquet", "shard_06541.parquet"


def fetch(fetcher: ModuleType, *names: str) -> list[Path]:
    """Fetch these files as training shards."""
    parts = [(name, "train") for name in names]
    fetcher.cache_root().mkdir(parents=True, exist_ok=True)
    paths = fetcher.fetch_parts("karpathy/climbmix-400b-shuffle", parts)
    return [path for path, _ in paths]


def text_of(tokens: Path, folder: Path) -> str:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    numbers = np.fromfile(tokens, np.uint16)
    return str(tokenizer.decode(numbers[numbers != 511].tolist()))


def test_climbmix_pins_its_last_shards(fetcher: ModuleType, hub: Hub, tmp_path: Path) -> None:
    sealed = tmp_path / "lab" / "holdout.bin"
    folder = fetcher.prepare("climbmix:2", sealed)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["documents"] == 400
    assert sorted(hub.sent) == sorted(hub.files)
    train, val, held = (text_of(path, folder) for path in (folder / "train.bin", folder / "val.bin", sealed))
    assert train.startswith("shard 0 row 0\n") and "shard 1 row 99\n" in train
    assert val.startswith("shard 6542 row 0\n") and "shard 6542 row 99\n" in val
    assert held.startswith("shard 6541 row 0\n") and "shard 6541 row 99\n" in held
    assert "shard 65" not in train and "shard 6541" not in val


def test_no_run_can_read_the_holdouts_shard(fetcher: ModuleType, hub: Hub, shards: dict[str, bytes]) -> None:
    fetcher.prepare("climbmix:2")
    kept = list(fetcher.sealed_root().rglob(HELD))
    assert [path.read_bytes() for path in kept] == [shards[HELD]]
    assert stat.S_IMODE(fetcher.sealed_root().stat().st_mode) == 0o700
    in_cache = [path for path in fetcher.cache_root().rglob("*") if path.is_file()]
    assert {VAL, "val.bin"} <= {path.name for path in in_cache}
    held = np.fromfile(next(fetcher.sealed_root().glob("*.bin")), np.uint16).tobytes()
    for path in in_cache:
        data = path.read_bytes()
        assert "holdout" not in path.name and shards[HELD] != data and held[:200] not in data, path


def test_one_file_with_all_splits_is_sealed(fetcher: ModuleType, hub: Hub, tmp_path: Path) -> None:
    dice = random.Random(0)
    rows: list[str | None] = [story(dice, f"story {row}") for row in range(300)]
    name = "tinystories_gpt4_clean.parquet"
    hub.files = {name: write_parquet(tmp_path / name, rows).read_bytes()}
    folder = fetcher.prepare("tinystories", tmp_path / "held.bin")
    assert not list(fetcher.cache_root().rglob("*.parquet"))
    texts = {split: text_of(folder / f"{split}.bin", folder) for split in ("train", "val")}
    texts["holdout"] = text_of(tmp_path / "held.bin", folder)
    for row, text in enumerate(rows):
        assert text and text in texts[fetcher.split_of(f"{name}:{row}")]


def test_what_is_prepared_asks_for_nothing(fetcher: ModuleType, hub: Hub, tmp_path: Path) -> None:
    folder = fetcher.prepare("climbmix:2")
    shutil.rmtree(fetcher.cache_root() / "downloads")  # its tokens are all that is needed
    hub.asked.clear()
    assert fetcher.prepare("climbmix:2", tmp_path / "held.bin") == folder
    next(fetcher.sealed_root().glob("*.bin")).unlink()
    (tmp_path / "held.bin").unlink()
    assert fetcher.prepare("climbmix:2", tmp_path / "held.bin") == folder
    assert (tmp_path / "held.bin").stat().st_size > 0
    assert hub.asked == []


def test_more_shards_fetch_only_what_is_missing(fetcher: ModuleType, hub: Hub) -> None:
    first = fetcher.prepare("climbmix:1")
    hub.asked.clear()
    assert fetcher.prepare("climbmix:2") != first
    assert {name for _, name, _ in hub.asked} == {"shard_00001.parquet"}
    assert fetcher.prepare("climbmix:1") == first


@pytest.mark.parametrize("linked", [True, False])
def test_a_cut_connection_is_gone_on_with(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes], linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "BLOCK_BYTES", 1)
    hub.linked, hub.cut_after = linked, [3000, 1, 2000, 0, 500]
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == shards[VAL]
    assert hub.sent[VAL] == len(shards[VAL])  # no byte twice
    starts = [asked for method, _, asked in hub.asked if method == "GET" and asked]
    assert {"bytes=3000-", "bytes=3001-", "bytes=5001-"} <= set(starts)
    assert not list(path.parent.glob("*.part"))


def test_a_server_that_knows_no_ranges_begins_anew(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes]
) -> None:
    hub.ignores_ranges, hub.cut_after = True, [3000]
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == shards[VAL]


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_changed_is_begun_anew(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes], linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.linked, hub.cut_after = linked, [3000, *[0] * 5]
    monkeypatch.setattr(fetcher, "FETCH_TRIES", 1)
    with pytest.raises(fetcher.DataError, match="3000 bytes have come and are kept"):
        fetch(fetcher, VAL)
    assert [part.stat().st_size for part in fetcher.cache_root().rglob("*.part")] == [3000]
    changed = shards[VAL][:1000] + b"another" + shards[VAL][1007:]
    hub.files[VAL] = changed
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == changed
    assert hub.sent[VAL] == 3000 + len(changed)
    assert not list(fetcher.cache_root().rglob("*.part"))


def test_a_file_that_changes_between_question_and_answer(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.linked, hub.cut_after = False, [3000, *[0] * 5]
    describe, changed = fetcher.described, shards[VAL] + b"longer"

    def then_change(url: str) -> object:
        described = describe(url)
        if hub.sent[VAL]:  # the first part is there
            hub.files[VAL] = changed
        return described

    monkeypatch.setattr(fetcher, "described", then_change)
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == changed


def test_a_busy_server_is_given_time(fetcher: ModuleType, hub: Hub, shards: dict[str, bytes]) -> None:
    hub.busy, hub.retry_after_s = 3, 1
    began_s = time.monotonic()
    fetcher.LONGEST_PAUSE_S = 0.2
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == shards[VAL]
    assert time.monotonic() - began_s > 0.6  # three times what it asked for, which is capped here


def test_a_server_that_stays_busy_is_one_line(fetcher: ModuleType, hub: Hub) -> None:
    hub.busy = 10**6
    with pytest.raises(fetcher.DataError, match=r"Service Unavailable.*HF_ENDPOINT") as caught:
        fetch(fetcher, VAL)
    assert len(hub.asked) == fetcher.FETCH_TRIES
    assert "\n" not in str(caught.value)


def test_a_wrong_size_is_told(fetcher: ModuleType, hub: Hub, shards: dict[str, bytes]) -> None:
    hub.lies = {VAL: len(shards[VAL]) + 5}
    with pytest.raises(
        fetcher.DataError, match=f"should be of size {len(shards[VAL]) + 5} but has size {len(shards[VAL])}"
    ):
        fetch(fetcher, VAL)
    assert not list(fetcher.cache_root().rglob(VAL))


def test_bytes_that_are_not_what_the_hub_says_are_never_used(fetcher: ModuleType, hub: Hub) -> None:
    hub.etags = {VAL: "0" * 64}
    with pytest.raises(fetcher.DataError, match="not what the server says"):
        fetch(fetcher, VAL)
    assert not list(fetcher.cache_root().rglob("*.parquet*"))


def test_what_is_not_there_is_asked_for_once(fetcher: ModuleType, hub: Hub) -> None:
    with pytest.raises(fetcher.DataError, match=r"shard_77777.parquet answers 404.*DATA_SOURCE") as caught:
        fetch(fetcher, "shard_77777.parquet")
    assert len(hub.asked) == 1
    assert "\n" not in str(caught.value)


def test_offline_is_one_line_that_says_what_to_do(
    fetcher: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(fetcher.DataError, match=r"refused; .*python prepare.py.*HF_ENDPOINT.*copy") as caught:
        fetcher.prepare("climbmix:2")
    assert "\n" not in str(caught.value)


def test_a_silent_server_is_asked_again(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.4)
    hub.bytes_per_s, hub.pause_at, hub.pause_s = 0.0, 2000, 1.0
    (path,) = fetch(fetcher, VAL)
    assert path.read_bytes() == shards[VAL]
    assert [asked for method, _, asked in hub.asked if method == "GET" and asked]


def test_a_few_are_fetched_at_once(fetcher: ModuleType, hub: Hub, shards: dict[str, bytes]) -> None:
    hub.bytes_per_s = 4 * len(shards[VAL])
    assert len(fetch(fetcher, *shards)) == 4
    assert 3 <= hub.most_at_once <= fetcher.FETCHED_AT_ONCE  # of files in turn two may seem to overlap


def test_the_token_goes_to_the_hub_alone(
    fetcher: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    fetch(fetcher, VAL)
    assert hub.tokens == {("hub", "Bearer secret"), ("storage", "")}


def test_a_disk_that_is_too_small_is_told_before(
    fetcher: ModuleType, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(fetcher.shutil, "disk_usage", lambda _: usage._replace(free=20_000))
    with pytest.raises(fetcher.DataError, match=r"needs about .* GB free.*AUTORESEARCH_CACHE"):
        fetcher.prepare("climbmix:2")
    assert not hub.sent


@pytest.mark.parametrize("source", ["climbmix:0", "climbmix:6542", "climbmix:many", "tinystories:2"])
def test_a_number_of_shards_that_there_is_not(fetcher: ModuleType, hub: Hub, source: str) -> None:
    with pytest.raises(fetcher.DataError, match="shards to train on"):
        fetcher.prepare(source)
    assert not hub.asked


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_while_fetching_it_goes_on(
    fetcher: ModuleType, hub: Hub, shards: dict[str, bytes], how: signal.Signals
) -> None:
    hub.bytes_per_s = len(shards[VAL]) / 20
    in_small_bites = "import corpus; corpus.BLOCK_BYTES = 100; corpus.main()"
    argv = [
        sys.executable,
        "-c",
        in_small_bites,
        "--source",
        "climbmix:2",
        "--cache",
        str(fetcher.cache_root()),
    ]
    environment = clean_environment(HF_ENDPOINT=hub.url)
    process = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while min(hub.sent[name] for name in shards) < 2000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    told_s = time.monotonic()
    process.send_signal(how)
    _, said = process.communicate(timeout=20)
    assert time.monotonic() - told_s < 10  # the server would take twice as long
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from here" in said and "Traceback" not in said
    hub.bytes_per_s = 0.0
    hub.asked.clear()
    fetcher.prepare("climbmix:2")
    starts = [asked for method, _, asked in hub.asked if method == "GET"]
    assert len(starts) >= 4 and all(asked.startswith("bytes=") for asked in starts)
