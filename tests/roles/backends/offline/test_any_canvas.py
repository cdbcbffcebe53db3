"""The search on canvases of other labs: other languages, several files, names that are nobody's to step."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from roles.backends.offline.canvas import read_knobs, set_knobs
from roles.backends.offline.knob_moves import moves_of
from roles.backends.offline.source import normalised
from tests.worlds.foreign import c_files, karpathy_files

C = """\
#include "x.h"
#define BLOCK_SIZE 32 /* side of a tile */
#define MASK (0x40)
#define NAME "text"
#define TWICE 3
#define TWICE 4
#  define VERSION 7
static const unsigned long LIMIT = 1UL << 4;
static constexpr double RATIO = 0.75f; // of the buffer
const int UNROLL = 4;
int counter;
int main(void) {
    int inner = 5;
    return 0;
}
"""
RUST = "pub const CHUNK: usize = 1_024; // bytes\nconst LOAD: f64 = 0.7;\nfn main() { let x = 3; }\n"
GO = "package main\n\nconst Buffer = 1 << 16\nvar workers = 8\nlimit := 20\n"
SETTINGS = "[cache]\nsize = 64\nratio: 0.5\nport = 8080\n"


def values(text: str) -> dict[str, object]:
    return {name: knob.value for name, knob in read_knobs(text).items()}


def stepped(text: str) -> set[str]:
    knobs = read_knobs(text)
    return {name for name, knob in knobs.items() if moves_of(knob, text, knobs)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (C, {"BLOCK_SIZE": 32, "MASK": 64, "VERSION": 7, "RATIO": 0.75, "UNROLL": 4}),
        (RUST, {"CHUNK": 1024, "LOAD": 0.7}),
        (GO, {"Buffer": 65536, "workers": 8, "limit": 20}),
        (SETTINGS, {"size": 64, "port": 8080}),
        ("#define ONLY 3\n", {"ONLY": 3}),
        (
            "NAME = 'x'\nrate = 0.5\nstep = 0\nprint(rate)\nwhile step < 3:\n    step += 1\n",
            {"NAME": "x", "rate": 0.5},
        ),
    ],
)
def test_named_numbers_of_any_language_are_knobs(text: str, found: dict[str, object]) -> None:
    assert values(text) == found


def test_a_step_changes_the_number_and_nothing_else() -> None:
    assert set_knobs(C, {"MASK": 128}) == C.replace("0x40", "128")
    assert set_knobs(C, {"RATIO": 1.5}) == C.replace("0.75f", "1.5f")
    assert set_knobs(GO, {"Buffer": 32768}) == GO.replace("1 << 16", "32768")
    assert set_knobs(RUST, {"CHUNK": 2048}) == RUST.replace("1_024", "2048")
    crlf = C.replace("\n", "\r\n")
    assert set_knobs(crlf, {"UNROLL": 8}) == crlf.replace("= 4;", "= 8;")


def test_what_the_contract_depends_on_is_left_alone() -> None:
    assert stepped(C) == {"BLOCK_SIZE", "MASK", "RATIO", "UNROLL"}
    assert stepped(SETTINGS) == {"size"}
    assert stepped("SEED = 3\nPORT = 8080\nVERSION = 2\nWIDTH = 8\nprint(SEED, PORT, VERSION, WIDTH)\n") == {
        "WIDTH"
    }
    upstream = stepped(karpathy_files()["train.py"])
    assert upstream >= {"TOTAL_BATCH_SIZE", "EMBEDDING_LR", "MATRIX_LR", "DEPTH"}
    assert "DEVICE_BATCH_SIZE" not in upstream


def test_layout_alone_makes_no_new_code() -> None:
    assert normalised("int  A = 3;\n\n") == normalised("int A = 3;\n") != normalised("int A = 4;\n")


def test_every_step_of_a_c_program_compiles(tmp_path: Path) -> None:
    files = c_files()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    source = files["src/transpose.c"]
    knobs = read_knobs(source)
    assert set(knobs) == {"BLOCK"}
    for step in moves_of(knobs["BLOCK"], source, knobs):
        changed = set_knobs(source, {"BLOCK": step.new})
        assert changed is not None
        (tmp_path / "src/transpose.c").write_text(changed)
        done = subprocess.run(
            ["make", "-s", "bench"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "cache_misses" in done.stdout, done.stderr
