"""Runs canvases for real, a few batches each: `python smoke.py CACHE CANVAS…` prints one JSON line each.

torch and the referee are imported once; every canvas then gets a process of its own by fork, with the
referee's smoke assignment on a small corpus. Probes, evaluation and report are the real ones.
"""

from __future__ import annotations

import io
import json
import os
import runpy
import sys
import sysconfig
import traceback
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS_FILES = 60


def write_corpus(folder: Path) -> None:
    """A few dozen modules of the standard library, cut short: enough for all three splits."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:CORPUS_FILES]:
        (folder / path.name).write_bytes(path.read_bytes()[:12000])


def run_canvas(path: str, write_to: int) -> None:
    """In the child: run it as its runner would, and tell the parent how it went."""
    said = io.StringIO()
    result: dict[str, object] = {"canvas": path, "error": ""}
    try:
        with redirect_stdout(said):
            runpy.run_path(path, run_name="__main__")
    except BaseException as error:
        result["error"] = f"{type(error).__name__}: {error}"
        result["trace"] = traceback.format_exc()[-1500:]
    result["output"] = said.getvalue()
    os.write(write_to, json.dumps(result).encode())
    os._exit(0)


def main() -> None:
    cache, canvases = Path(sys.argv[1]), sys.argv[2:]
    write_corpus(cache / "corpus")
    os.environ |= {
        "AUTORESEARCH_CACHE": str(cache),
        "AUTORESEARCH_SOURCE": str(cache / "corpus"),
        "AUTORESEARCH_SMOKE": "1",
        "AUTORESEARCH_SEED": "5",
        "AUTORESEARCH_DEVICE": "cpu",
    }
    sys.path[:0] = [str(ROOT), str(ROOT / "training")]
    import torch
    import torch._dynamo  # the first step of an optimizer imports it: a second, in every child

    import corpus
    import prepare

    torch.set_num_threads(1)
    prepare.EVAL_BATCH_TOKENS = 1024  # the score does not matter here, the probes do
    prepare.compare.__defaults__ = (1e-4,)  # a few batches in, a leak moves little probability
    corpus.prepare(os.environ["AUTORESEARCH_SOURCE"])
    for path in canvases:
        read_from, write_to = os.pipe()
        child = os.fork()
        if child == 0:
            run_canvas(path, write_to)
        os.close(write_to)
        with os.fdopen(read_from, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(child, 0)
        print(answer.decode() or json.dumps({"canvas": path, "error": "it died", "output": ""}), flush=True)


if __name__ == "__main__":
    main()
