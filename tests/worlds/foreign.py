"""Foreign labs for tests: the files of each kind, as their users have them, small enough to run in a blink.

Each `…_files` function gives paths and texts; `plant` writes them into a folder and commits them. The shapes (file
names, constants, printed lines) are those of the real repositories; the texts and the training are stand-ins.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path


class Fork(StrEnum):
    """Who keeps a repository of upstream's three files."""

    UPSTREAM = "autoresearch"
    MACOS = "autoresearch-macos"
    MLX = "autoresearch-mlx"
    WIN_RTX = "autoresearch-win-rtx"


def plant(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files into a new repository at `folder`, scripts executable, in one commit on main."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name.endswith(".sh"):
            path.chmod(0o755)
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "as cloned")):
        identity = ("-c", "user.name=person", "-c", "user.email=person@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)
    return folder


# ------------------------------------------------------------------------------------------------------
# karpathy/autoresearch and its forks: train.py, prepare.py and program.md at the root, run by uv

_DEPENDENCIES = {
    Fork.UPSTREAM: ("kernels>=0.11.7", "numpy>=2.2.6", "pyarrow>=21.0.0", "rustbpe>=0.1.0", "torch==2.9.1"),
    Fork.MACOS: ("numpy>=2.2.6", "pyarrow>=21.0.0", "rustbpe>=0.1.0", "tiktoken>=0.11.0", "torch==2.6.0"),
    Fork.MLX: ("mlx>=0.24.0", "numpy>=2.2.6", "pyarrow>=21.0.0", "rustbpe>=0.1.0", "tiktoken>=0.11.0"),
    Fork.WIN_RTX: ("huggingface_hub>=0.33.0", "numpy>=2.2.6", "pyarrow>=25.0.0", "torch==2.9.1"),
}

_CACHE = 'CACHE_DIR = os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")'
_WIN_CACHE = """\
def _default_cache_dir():
    named = os.environ.get("AUTORESEARCH_CACHE_DIR")
    if named:
        return os.path.expanduser(named)
    if os.name == "nt" and os.environ.get("LOCALAPPDATA"):
        return os.path.join(os.environ["LOCALAPPDATA"], "autoresearch")
    return os.path.join(os.path.expanduser("~"), ".cache", "autoresearch")


DATASET = os.environ.get("AUTORESEARCH_DATASET", "tinystories")
CACHE_DIR = _default_cache_dir()"""

_PREPARE = '''\
"""One-time preparation: data and tokenizer go to ~/.cache/autoresearch. Fixed; experiments edit train.py."""

import os
import random

MAX_SEQ_LEN = 2048       # context length
TIME_BUDGET = {budget}        # training time budget in seconds
EVAL_TOKENS = 40 * 524288

{cache}
DATA_DIR = os.path.join(CACHE_DIR, "data")
TOKENIZER_DIR = os.path.join(CACHE_DIR, "tokenizer")


def load_text():
    path = os.path.join(DATA_DIR, "shard_00000.txt")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{{path}} is missing. Run prepare.py first.")
    with open(path, encoding="utf-8") as file:
        return file.read()


def evaluate_bpb(loss_nats):
    """Bits per byte of a stand-in model, as unsteady as one seed after another is on a GPU."""
    return loss_nats / len(load_text().split()) + random.gauss(0.0, {noise})


if __name__ == "__main__":
    os.makedirs(DATA_DIR, exist_ok=True)
    os.makedirs(TOKENIZER_DIR, exist_ok=True)
    with open(os.path.join(DATA_DIR, "shard_00000.txt"), "w", encoding="utf-8") as file:
        file.write("once upon a time there was a small fox")
    print("Done! Ready to train.")
'''

_TRAIN = '''\
"""Autoresearch pretraining script (a stand-in: it prints what a training prints, in a fraction of a second).

Usage: uv run train.py
"""

import math
import time

{backend}
from prepare import MAX_SEQ_LEN, TIME_BUDGET, evaluate_bpb, load_text

# ---------------------------------------------------------------------------
# Hyperparameters (edit these directly, no CLI flags needed)
# ---------------------------------------------------------------------------

ASPECT_RATIO = 64       # model_dim = depth * ASPECT_RATIO
HEAD_DIM = 128          # target head dimension
WINDOW_PATTERN = "SSSL"

TOTAL_BATCH_SIZE = 2**19  # tokens per optimizer step
EMBEDDING_LR = 0.6
MATRIX_LR = 0.04
WEIGHT_DECAY = 0.2
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5

DEPTH = 8
DEVICE_BATCH_SIZE = 128

STEP_SECONDS = 0.004

# ---------------------------------------------------------------------------

t_start = time.time()
words = load_text().split()
steps = 25
for step in range(steps):
    time.sleep(STEP_SECONDS)
    done = 100 * (step + 1) / steps
    print(f"\\rstep {{step:05d}} ({{done:.1f}}%) | loss: {{9.0 - step / 10:.6f}} | mfu: 39.8%    ", end="", flush=True)
print()

# How far each knob is from where this model would like it.
regret = 0.02 * math.log2(MATRIX_LR / 0.02) ** 2
regret += 0.03 * math.log2(DEPTH / 10) ** 2
regret += 0.01 * math.log2(TOTAL_BATCH_SIZE / 2**18) ** 2
regret += 0.004 * math.log2(EMBEDDING_LR / 0.8) ** 2 + 0.1 * (WARMDOWN_RATIO - 0.6) ** 2
val_bpb = evaluate_bpb((0.93 + regret) * len(words))
t_end = time.time()

num_params = DEPTH * (DEPTH * ASPECT_RATIO) ** 2 * 12
print("---")
print(f"val_bpb:          {{val_bpb:.6f}}")
print(f"training_seconds: {{TIME_BUDGET:.1f}}")
print(f"total_seconds:    {{t_end - t_start:.1f}}")
print(f"peak_vram_mb:     {{45060.2 * DEPTH / 8:.1f}}")
print("mfu_percent:      39.80")
print(f"total_tokens_M:   {{953 * TOTAL_BATCH_SIZE / 1e6:.1f}}")
print("num_steps:        953")
print(f"num_params_M:     {{num_params / 1e6:.1f}}")
print(f"depth:            {{DEPTH}}")
'''

_PROGRAM = """\
# {name}

The agent does its own research.

## Experimentation

Each experiment trains for a **fixed time budget of 5 minutes** (wall clock). Launch it as `uv run train.py`.

- Modify `train.py`; it is the only file you edit.
- `prepare.py` is read-only: the evaluation, the data, the constants.

**The goal is simple: get the lowest val_bpb.**

## Output format

```
---
val_bpb:          0.997900
training_seconds: 300.1
peak_vram_mb:     45060.2
```

`grep "^val_bpb:\\|^peak_vram_mb:" run.log` finds the key figures.

## Logging results

`results.tsv` has five columns, separated by tabs:

```
commit	val_bpb	memory_gb	status	description
```

**Timeout**: a run takes about 5 minutes. If one exceeds 10 minutes, kill it and treat it as a failure.
"""

_BACKENDS = {
    Fork.UPSTREAM: "# on one NVIDIA GPU: torch.cuda",
    Fork.MACOS: "# on Metal: torch.backends.mps",
    Fork.MLX: "# on Apple silicon: mlx.core",
    Fork.WIN_RTX: "# on one consumer NVIDIA GPU under Windows: torch.cuda, SDPA",
}


def karpathy_files(
    fork: Fork = Fork.UPSTREAM,
    *,
    budget_s: int = 300,
    noise: float = 0.0007,
    dependencies: tuple[str, ...] | None = None,
    locked: bool = False,
) -> dict[str, str]:
    """Upstream's repository or a fork of it; `dependencies=()` with `locked` runs under uv without a network."""
    needs = _DEPENDENCIES[fork] if dependencies is None else dependencies
    listed = "".join(f'    "{need}",\n' for need in needs)
    cache = _WIN_CACHE if fork is Fork.WIN_RTX else _CACHE
    files = {
        "README.md": f"# {fork.value}\n\nOne GPU, one file, one metric.\n\n```bash\nuv sync\nuv run prepare.py\n```\n",
        ".gitignore": "__pycache__/\n.venv/\nresults.tsv\nrun.log\n",
        ".python-version": "3.11\n",
        "program.md": _PROGRAM.format(name=fork.value),
        "prepare.py": _PREPARE.format(budget=budget_s, cache=cache, noise=noise),
        "train.py": _TRAIN.format(backend=_BACKENDS[fork]),
        "pyproject.toml": '[project]\nname = "autoresearch"\nversion = "0.1.0"\nrequires-python = ">=3.10"\n'
        f"dependencies = [\n{listed}]\n",
    }
    if locked:
        files["uv.lock"] = (
            'version = 1\nrevision = 3\nrequires-python = ">=3.10"\n\n'
            '[[package]]\nname = "autoresearch"\nversion = "0.1.0"\nsource = { virtual = "." }\n'
        )
    return files


# ------------------------------------------------------------------------------------------------------
# pi-autoresearch: a `.auto/` folder beside any project

_SORTING = '''\
"""Sorting, counted in comparisons. The file in scope."""

RUN_LENGTH = 64  # short runs are sorted by insertion, then merged
GALLOP_AFTER = 16  # wins in a row before a merge gallops


def insertion_sort(items, less):
    for i in range(1, len(items)):
        j = i
        while j > 0 and less(items[j], items[j - 1]):
            items[j], items[j - 1] = items[j - 1], items[j]
            j -= 1
    return items


def merge(left, right, less):
    merged, i, j = [], 0, 0
    while i < len(left) and j < len(right):
        if less(right[j], left[i]):
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    return merged + left[i:] + right[j:]


def sort(items, less):
    size = max(1, int(RUN_LENGTH))
    runs = [insertion_sort(items[i : i + size], less) for i in range(0, len(items), size)]
    while len(runs) > 1:
        runs = [merge(runs[i], runs[i + 1], less) if i + 1 < len(runs) else runs[i] for i in range(0, len(runs), 2)]
    return runs[0] if runs else []
'''

_COUNT = """\
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
from sorting import sort

comparisons = 0


def less(a, b):
    global comparisons
    comparisons += 1
    return a < b


generator = random.Random(7)
items = [generator.random() for _ in range(3000)]
started = time.perf_counter()
result = sort(list(items), less)
elapsed_ms = 1000 * (time.perf_counter() - started)
if "--check" in sys.argv:
    if result != sorted(items):
        sys.exit("not sorted")
else:
    print(f"METRIC comparisons={comparisons}")
    print(f"METRIC elapsed_ms={elapsed_ms:.3f}")
"""

_AUTO_PROMPT = """\
# Autoresearch: fewer comparisons

## Objective
Sort 3000 random numbers with as few comparisons as possible.

## Metrics
- **Primary**: `comparisons` (count, lower is better) — the optimization target
- **Secondary**: elapsed_ms

## How to Run
`./.auto/measure.sh` — outputs `METRIC name=number` lines.

## Files in Scope
- `src/sorting.py` — the sort, and its two tunables
- `.auto/*` — the session itself

## Off Limits
- `bench/` — the workload and the counting

## Constraints
- `./.auto/checks.sh` must pass: the result stays sorted.

## What's Been Tried
"""


def auto_files() -> dict[str, str]:
    """A pi-autoresearch session: `.auto/measure.sh` prints METRIC lines, `.auto/checks.sh` guards."""
    return {
        "README.md": "# sorting\n",
        "src/sorting.py": _SORTING,
        "bench/count.py": _COUNT,
        ".auto/prompt.md": _AUTO_PROMPT,
        ".auto/measure.sh": '#!/bin/bash\nset -euo pipefail\ncd "$(dirname "$0")/.."\npython3 bench/count.py\n',
        ".auto/checks.sh": '#!/bin/bash\nset -euo pipefail\ncd "$(dirname "$0")/.."\n'
        "python3 bench/count.py --check\n",
        ".auto/config.json": '{"maxIterations": 50}\n',
        ".auto/log.jsonl": '{"type":"config","name":"fewer comparisons","metricName":"comparisons",'
        '"metricUnit":"","bestDirection":"lower"}\n',
    }


# ------------------------------------------------------------------------------------------------------
# The tutorial: fit sin(x), print the mean squared error

_SIN = '''\
"""Fit sin(x) on [-pi, pi] with a polynomial, by gradient descent."""

import math
import random

DEGREE = 3
LEARNING_RATE = 0.05
STEPS = 400
MOMENTUM = 0.5

random.seed()
xs = [-math.pi + 2 * math.pi * i / 63 for i in range(64)]
ys = [math.sin(x) for x in xs]
features = [[(x / math.pi) ** k for k in range(DEGREE + 1)] for x in xs]
weights = [random.gauss(0.0, 0.01) for _ in range(DEGREE + 1)]
velocity = [0.0] * len(weights)
for step in range(STEPS):
    errors = [sum(w * f for w, f in zip(weights, row)) - y for row, y in zip(features, ys)]
    for k in range(len(weights)):
        gradient = 2 * sum(e * row[k] for e, row in zip(errors, features)) / len(xs)
        velocity[k] = MOMENTUM * velocity[k] - LEARNING_RATE * gradient
        weights[k] += velocity[k]
    if step % 100 == 0:
        print(f"step {step}: mse={sum(e * e for e in errors) / len(xs):.6f}")
mse = sum((sum(w * f for w, f in zip(weights, row)) - y) ** 2 for row, y in zip(features, ys)) / len(xs)
'''


def tutorial_files(evaluated: bool = False) -> dict[str, str]:
    """sin(x): train.py prints `METRIC:mse=…`, or evaluate.py imports its model and prints `EVAL_RESULT: mse=…`."""
    if not evaluated:
        return {
            "README.md": "# Fit sin(x)\n\nRun `python train.py`.\n",
            "train.py": _SIN + 'print(f"METRIC:mse={mse:.8f}")\n',
        }
    return {
        "README.md": "# Fit sin(x)\n\nRun `python evaluate.py`; edit `model.py`.\n",
        "model.py": _SIN,
        "evaluate.py": 'from model import mse\n\nprint(f"EVAL_RESULT: mse={mse:.8f}")\n',
    }


# ------------------------------------------------------------------------------------------------------
# Pairs: a solution that may change, and a fixed evaluator

_PACKING = '''\
"""Pack items into bins. The solution: change what you like, keep `pack`."""

FILL_TARGET = 0.7  # a bin is closed once it is this full


def pack(sizes):
    bins, current = [], []
    for size in sizes:
        if sum(current) + size > 1.0 or sum(current) > FILL_TARGET:
            bins.append(current)
            current = []
        current.append(size)
    return [*bins, current]
'''

_EVALUATE = """\
import json
import random

from solution import pack

generator = random.Random(3)
sizes = [generator.uniform(0.05, 0.45) for _ in range(500)]
bins = pack(sizes)
fits = all(sum(b) <= 1.0 for b in bins) and sorted(s for b in bins for s in b) == sorted(sizes)
print(json.dumps({"pass": fits, "score": sum(sizes) / len(bins) if fits else 0.0}))
"""

_BENCH = """\
import time

from solution import pack

sizes = [0.1 + (i * 37 % 41) / 120 for i in range(20000)]
best = float("inf")
for _ in range(5):
    started = time.perf_counter()
    pack(sizes)
    best = min(best, time.perf_counter() - started)
print(f"latency_ms: {1000 * best:.4f}")
"""


def pair_files(evaluator: str = "evaluate.py") -> dict[str, str]:
    """solution.py with evaluate.py (JSON with a score), bench.py (`latency_ms: …`) or benchmark.sh (a bare float)."""
    files = {"README.md": "# Packing\n", "solution.py": _PACKING}
    match evaluator:
        case "evaluate.py":
            return {**files, evaluator: _EVALUATE, "test_solution.py": "from solution import pack\n"}
        case "bench.py":
            return {**files, evaluator: _BENCH}
        case "benchmark.sh":
            script = "#!/bin/sh\n# prints the latency in ms\npython3 bench_all.py | sed 's/.*: //'\n"
            return {**files, evaluator: script, "bench_all.py": _BENCH}
    raise ValueError(evaluator)


# ------------------------------------------------------------------------------------------------------
# Compiled projects: a build step, then a program that prints what it took

_TRANSPOSE_C = """\
#include "transpose.h"

#define BLOCK 1 /* side of the tile that is moved at once */

void transpose(struct cache *cache, const double *from, double *to, int n)
{
    for (int i = 0; i < n; i += BLOCK)
        for (int j = 0; j < n; j += BLOCK)
            for (int a = i; a < i + BLOCK && a < n; a++)
                for (int b = j; b < j + BLOCK && b < n; b++) {
                    touch(cache, &from[a * n + b]);
                    touch(cache, &to[b * n + a]);
                    to[b * n + a] = from[a * n + b];
                }
}
"""

_TRANSPOSE_H = """\
#ifndef TRANSPOSE_H
#define TRANSPOSE_H
#define LINES 64
struct cache { unsigned long tag[LINES]; long misses; const char *base; };
void touch(struct cache *cache, const void *address);
void transpose(struct cache *cache, const double *from, double *to, int n);
#endif
"""

_BENCH_C = """\
#include <stdio.h>
#include "transpose.h"

#define N 120

static double memory[2 * N * N];

/* A direct-mapped cache of 64 lines of 64 bytes: the count is the same on every machine. */
void touch(struct cache *cache, const void *address)
{
    unsigned long line = (unsigned long)((const char *)address - cache->base) / 64 + 1;
    if (cache->tag[line % LINES] != line) {
        cache->tag[line % LINES] = line;
        cache->misses++;
    }
}

int main(void)
{
    struct cache cache = { {0}, 0, (const char *)memory };
    for (int i = 0; i < N * N; i++)
        memory[i] = i;
    transpose(&cache, memory, memory + N * N, N);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            if (memory[N * N + j * N + i] != memory[i * N + j])
                return fprintf(stderr, "wrong at %d, %d\\n", i, j), 1;
    printf("cache_misses: %ld\\n", cache.misses);
    return 0;
}
"""

_MAKEFILE = """\
CC ?= cc
CFLAGS ?= -O2 -std=c99 -Wall

all: build/bench

build/bench: src/transpose.c src/transpose.h bench/bench.c
	mkdir -p build
	$(CC) $(CFLAGS) -Isrc -o $@ src/transpose.c bench/bench.c

bench: build/bench
	./build/bench

test: build/bench
	./build/bench > /dev/null

clean:
	rm -rf build

.PHONY: all bench test clean
"""


def c_files() -> dict[str, str]:
    """A C program with a Makefile: `make bench` builds it and prints how often its cache missed."""
    return {
        "README.md": "# transpose\n\n`make bench` builds and measures; `src/transpose.c` is what matters.\n",
        ".gitignore": "build/\n",
        "Makefile": _MAKEFILE,
        "src/transpose.c": _TRANSPOSE_C,
        "src/transpose.h": _TRANSPOSE_H,
        "bench/bench.c": _BENCH_C,
    }


KINDS: dict[str, Callable[[], dict[str, str]]] = {
    "karpathy": karpathy_files,
    "macos": lambda: karpathy_files(Fork.MACOS),
    "mlx": lambda: karpathy_files(Fork.MLX),
    "win-rtx": lambda: karpathy_files(Fork.WIN_RTX),
    "auto": auto_files,
    "tutorial": tutorial_files,
    "tutorial-evaluated": lambda: tutorial_files(evaluated=True),
    "evaluate.py": pair_files,
    "bench.py": lambda: pair_files("bench.py"),
    "benchmark.sh": lambda: pair_files("benchmark.sh"),
    "c": c_files,
}
