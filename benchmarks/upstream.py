"""Upstream's train.py and ours in turn: same device, same text, same tokens, same budget, one evaluation.

    python benchmarks/upstream.py ~/autoresearch --text ~/shards --budget 300 --json

Each side is a process of its own that runs its train.py unchanged. Upstream's imports a stand-in for its
prepare.py with the same five names: its tokenizer, loader, time budget and evaluation are ours, so that the text
is tokenised once, every batch is drawn from the same array, and bits per byte mean the same on both sides. Its
clock stays its own: it starts after ten steps, ours after warm_up. Speed is taken from when batches were asked
for, over the last four fifths of the run, alike on both sides.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import math
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SIDES = ("theirs", "ours")
SETTLED = 0.2  # of the batches, after which the speed is taken
UNTIMED_STEPS = 10  # of upstream, which its clock leaves out


class Meter:
    """When batches were asked for, and what the model was worth in the end."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []
        self.compile_s = 0.0
        self.found: dict[str, Any] = {}

    def tick(self) -> None:
        """A batch is asked for."""
        self.asked_s.append(time.perf_counter())

    def tokens_per_s(self, tokens_a_batch: int) -> float:
        """Over the last four fifths of the batches."""
        late = self.asked_s[int(SETTLED * len(self.asked_s)) :]
        return tokens_a_batch * (len(late) - 1) / max(late[-1] - late[0], 1e-9)

    def late_start_s(self, batches: int) -> float:
        """What the first batches took longer than the others: compiling, where it is done on the way."""
        batches = min(batches, len(self.asked_s) - 1)
        late = self.asked_s[int(SETTLED * len(self.asked_s)) :]
        usual_s = (late[-1] - late[0]) / max(len(late) - 1, 1)
        return max(0.0, self.asked_s[batches] - self.asked_s[0] - batches * usual_s)


def bits_per_byte(referee: Any, model: Any) -> float:
    """The one evaluation: every validation token once, log-softmax in fp32, summed in fp64."""
    import torch
    import torch.nn.functional as F  # noqa: N812 - as everybody writes it

    run = referee.this_run()
    windows = referee.evaluation_windows(run.data.val)
    rows = max(1, 2**14 // referee.MAX_SEQ_LEN)
    nats, size = 0.0, 0
    torch.nn.Module.eval(model)
    with torch.no_grad():
        for part in windows.split(rows):
            x, y = (half.long().to(run.device) for half in (part[:, :-1], part[:, 1:]))
            losses = F.cross_entropy(model(x).float().flatten(0, 1), y.flatten(), reduction="none").cpu()
            lengths = run.data.token_bytes.cpu()[y.flatten().cpu()]
            nats += float(losses.double()[lengths > 0].sum())
            size += int(lengths.sum())
    return nats / math.log(2) / size


def load_referee(folder: Path) -> Any:
    """Our prepare.py of `folder`, under a name that is not upstream's."""
    spec = importlib.util.spec_from_file_location("our_prepare", folder / "prepare.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["our_prepare"] = module
    spec.loader.exec_module(module)
    return module


def stand_in(referee: Any, meter: Meter, budget_s: float) -> types.ModuleType:
    """What upstream's train.py finds as `prepare`."""
    run = referee.this_run()

    class Tokenizer:
        """Sizes and the first token; training asks for no more."""

        @classmethod
        def from_directory(cls, *_: Any, **__: Any) -> Tokenizer:
            return cls()

        def get_vocab_size(self) -> int:
            return int(referee.VOCAB_SIZE)

        def get_bos_token_id(self) -> int:
            return int(referee.BOS)

    def make_dataloader(_: Any, rows: int, length: int, split: str, *__: Any, **___: Any) -> Iterator[Any]:
        assert split == "train", "the evaluation draws its own text"
        batches = referee.Batches(run, rows, length)
        meter.found["tokens_a_batch"] = rows * length
        while True:
            meter.tick()
            yield (*batches._draw(), 1)

    def evaluate_bpb(model: Any, *_: Any, **__: Any) -> float:
        meter.found |= measure(meter, referee, model, flops_of(model))
        return float(meter.found["val_bpb"])

    module = types.ModuleType("prepare")
    module.__dict__.update(
        MAX_SEQ_LEN=referee.MAX_SEQ_LEN,
        TIME_BUDGET=budget_s,
        EVAL_TOKENS=referee.EVAL_TOKENS,
        Tokenizer=Tokenizer,
        make_dataloader=make_dataloader,
        evaluate_bpb=evaluate_bpb,
    )
    return module


def flops_of(model: Any) -> float | None:
    """Per token of a step, by upstream's own count."""
    count = getattr(model, "estimate_flops", None)
    return float(count()) if count else None


def measure(meter: Meter, referee: Any, model: Any, flops: float | None) -> dict[str, Any]:
    """The figures of one side, with its model at the end of training."""
    import torch

    cuda = referee.this_run().device.startswith("cuda")
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )
    speed = meter.tokens_per_s(meter.found["tokens_a_batch"])
    peak = referee_peak_tflops(torch.cuda.get_device_name()) if cuda else None
    return {
        "tokens_per_s": speed,
        "peak_memory_mb": torch.cuda.max_memory_allocated() / 2**20 if cuda else rss_mb,
        "mfu_percent": speed * flops / peak / 1e10 if peak and flops else None,
        "batches": len(meter.asked_s),
        "parameters": sum(p.numel() for p in model.parameters()),
        "val_bpb": bits_per_byte(referee, model),
    }


def referee_peak_tflops(device: str) -> float | None:
    """Of the table in our train.py, as it stands there."""
    import re

    tree = ast.parse((ROOT / "training" / "train.py").read_text())
    table = next(
        n.value for n in tree.body if isinstance(n, ast.Assign) and "PEAK_TFLOPS" in ast.unparse(n.targets[0])
    )
    known: dict[str, float] = ast.literal_eval(table)
    return next((peak for name, peak in known.items() if re.search(rf"\b{name}\b", device)), None)


def sdpa_kernels() -> types.ModuleType:
    """A `kernels` package whose FlashAttention-3 is torch's own attention, for `--attention sdpa`."""
    import functools

    import torch.nn.functional as F  # noqa: N812 - as everybody writes it

    @functools.cache
    def block_mask(length: int, window: int, device: str) -> Any:
        from torch.nn.attention.flex_attention import create_block_mask

        def inside(_b: Any, _h: Any, q: Any, k: Any) -> Any:
            return (q >= k) & (q - k <= window)

        return create_block_mask(inside, None, None, length, length, device)

    masks: dict[tuple[int, int], Any] = {}

    def flash_attn_func(q: Any, k: Any, v: Any, causal: bool = True, window_size: Any = (-1, -1)) -> Any:
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        length, window = q.size(2), window_size[0]
        if not 0 <= window < length - 1:
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2)
        from torch.nn.attention.flex_attention import flex_attention

        if (length, window) not in masks:
            masks[length, window] = block_mask(length, window, str(q.device))
        return flex_attention(q, k, v, block_mask=masks[length, window]).transpose(1, 2)

    module = types.ModuleType("kernels")
    interface = types.SimpleNamespace(flash_attn_func=flash_attn_func)
    module.__dict__["get_kernel"] = lambda *_, **__: types.SimpleNamespace(flash_attn_interface=interface)
    return module


def run_theirs(clone: Path, folder: Path, budget_s: float, attention: str) -> dict[str, Any]:
    """Upstream's train.py, to its end, in this process."""
    meter, referee = Meter(), load_referee(folder)
    sys.modules["prepare"] = stand_in(referee, meter, budget_s)
    if attention == "sdpa":
        sys.modules["kernels"] = sdpa_kernels()
    space = runpy.run_path(str(clone / "train.py"), run_name="__main__")
    if "val_bpb" not in meter.found:
        sys.exit(f"{clone}/train.py ended without an evaluation: is it upstream's?")
    passes = int(space.get("grad_accum_steps", 1))
    return meter.found | {"compile_s": meter.late_start_s(UNTIMED_STEPS * passes), "attention": attention}


def run_ours(folder: Path, attention: str) -> dict[str, Any]:
    """Our train.py, to its end, in this process."""
    if attention == "sdpa":  # as if neither were installed
        sys.modules["flash_attn_interface"] = sys.modules["kernels"] = None  # type: ignore[assignment]
    meter, referee = Meter(), load_referee(folder)
    sys.modules["prepare"] = referee
    draw, warm_up, finish = referee.Batches._draw, referee.warm_up, referee.finish

    def timed_draw(stream: Any) -> Any:
        meter.tick()
        pair = draw(stream)
        meter.found["tokens_a_batch"] = pair[0].numel()
        return pair

    def timed_warm_up(*given: Any) -> None:
        began_s = time.perf_counter()
        warm_up(*given)
        meter.compile_s = time.perf_counter() - began_s

    def judged_finish(model: Any, **extras: float) -> float:
        canvas = sys._getframe(1).f_globals
        used = "fa3" if canvas["FLASH_ATTENTION"] else "sdpa"
        meter.found |= measure(meter, referee, model, float(canvas["flops_per_token"](model)))
        meter.found |= {"attention": used}
        return float(finish(model, **extras))

    referee.Batches._draw, referee.warm_up, referee.finish = timed_draw, timed_warm_up, judged_finish
    runpy.run_path(str(folder / "training" / "train.py"), run_name="__main__")
    return meter.found | {"compile_s": meter.compile_s}


def lay_out(folder: Path, preset: str, text: Path, knobs: dict[str, Any]) -> None:
    """Our files, stamped, and the text tokenised."""
    from supervisor.lab.presets import PRESETS, knobs_of, stamp, template_path

    knobs = knobs | {"DATA_SOURCE": str(text.resolve())}
    (folder / "training").mkdir(parents=True)
    for file in ("prepare.py", "training/corpus.py", "training/train.py"):
        stamped = PRESETS[preset].stamped(file, (template_path() / file).read_text())
        stamped = stamp(stamped, {k: v for k, v in knobs.items() if k in knobs_of(stamped)})
        (folder / file).write_text(stamped)
    print("· tokenising, once", file=sys.stderr)
    subprocess.run([sys.executable, str(folder / "prepare.py")], check=True, stdout=sys.stderr)


def run_side(side: str, folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """One side in a process of its own; its output goes to stderr."""
    print(f"· {side}: {asked.budget:g} s", file=sys.stderr, flush=True)
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    argv = [sys.executable, __file__, str(asked.clone), "--side", side, "--folder", str(folder)]
    argv += ["--budget", str(asked.budget), "--attention", asked.attention]
    environment = os.environ | {"AUTORESEARCH_BUDGET_S": str(asked.budget), "AUTORESEARCH_CLOCK": "wall"}
    environment |= {"AUTORESEARCH_DEVICE": asked.device} if asked.device else {}
    done = subprocess.run(argv, env=environment, stdout=sys.stderr, check=False)
    if done.returncode or not result.exists():
        sys.exit(f"upstream.py: {side} failed with exit code {done.returncode}; its last words are above")
    found: dict[str, Any] = json.loads(result.read_text())
    return found


ROWS = (
    ("tokens/s", "tokens_per_s", "{:,.0f}"),
    ("val_bpb", "val_bpb", "{:.6f}"),
    ("peak memory, MB", "peak_memory_mb", "{:,.0f}"),
    ("MFU, %", "mfu_percent", "{:.2f}"),
    ("compiling, s", "compile_s", "{:.1f}"),
    ("parameters", "parameters", "{:,}"),
    ("batches", "batches", "{:,}"),
    ("attention", "attention", "{}"),
)


def show(turns: list[dict[str, dict[str, Any]]]) -> None:
    """The table: a row per figure, a column per side, one table per turn."""
    for turn in turns:
        print(f"{'':18}{'theirs':>16}{'ours':>16}")
        for name, key, form in ROWS:
            cells = ["–" if turn[side][key] is None else form.format(turn[side][key]) for side in SIDES]
            print(f"{name:18}{cells[0]:>16}{cells[1]:>16}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Upstream's train.py and ours in turn.")
    parser.add_argument("clone", type=Path, help="a clone of karpathy/autoresearch")
    parser.add_argument("--text", type=Path, help="text or parquet: a file, or a folder of them")
    parser.add_argument("--preset", default="h100", help="what ours is set to")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=LITERAL", help="a knob of ours")
    parser.add_argument("--budget", type=float, default=300.0, help="training seconds a side")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--device", default="", help="default: the GPU, else the CPU")
    parser.add_argument("--attention", choices=("fa3", "sdpa"), default="fa3", help="for both sides")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Both sides in turn, or one of them."""
    asked = parse()
    if asked.side:
        theirs = asked.side == "theirs"
        found = (
            run_theirs(asked.clone, asked.folder, asked.budget, asked.attention)
            if theirs
            else run_ours(asked.folder, asked.attention)
        )
        (asked.folder / "result.json").write_text(json.dumps(found))
        return
    if not asked.text or not (asked.clone / "train.py").is_file():
        sys.exit("upstream.py: name a clone with a train.py, and --text: the file or folder to train on")
    knobs = {name: ast.literal_eval(value) for name, _, value in (each.partition("=") for each in asked.set)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "ours"
        lay_out(folder, asked.preset, asked.text, knobs)
        turns = [
            {side: run_side(side, folder, asked) for side in (SIDES if turn % 2 == 0 else SIDES[::-1])}
            for turn in range(asked.turns)
        ]
    if asked.json:
        print(
            json.dumps({"schema": 1, "budget_s": asked.budget, "attention": asked.attention, "turns": turns})
        )
    else:
        show(turns)


if __name__ == "__main__":
    main()
