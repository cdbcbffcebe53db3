"""The canvas: what it promises, run for real under the referee."""

from __future__ import annotations

import ast
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Smoke = Callable[[dict[str, str]], dict[str, dict[str, str]]]


def turned(text: str, **knobs: object) -> str:
    """The canvas with knobs at other values."""
    for name, value in knobs.items():
        text, found = re.subn(
            rf"^{name} = [^#\n]*?(?=\s*(#|$))", f"{name} = {value!r}", text, flags=re.MULTILINE
        )
        assert found == 1, name
    return text


def test_every_switch_of_the_canvas_trains_and_passes_the_probes(train_text: str, smoke: Smoke) -> None:
    small = turned(train_text, TOKENS_PER_STEP=256)
    variants = {
        "plain": small,
        "muon": turned(small, MATRIX_OPTIMIZER="muon"),
        "windows": turned(small, WINDOW_PATTERN="SL"),
        "extras": turned(small, QK_NORM=True, VALUE_EMBEDDINGS=True, SOFTCAP=15.0, GRAD_CLIP=0.0, WARMUP=0.2),
        "accumulating": turned(small, TOKENS_PER_STEP=1024, MAX_ROWS=4),
        "odd": turned(small, DEPTH=3, N_HEAD=2, N_EMBD=60, MLP_RATIO=3),
    }
    results = smoke(variants)
    assert {name: result["error"] for name, result in results.items()} == dict.fromkeys(variants, "")
    for result in results.values():
        assert re.search(r"^val_bpb: +\d\.\d+", result["output"], re.MULTILINE)


def test_the_referee_refuses_the_canvas_without_its_mask(train_text: str, smoke: Smoke) -> None:
    """The smoke runs of these tests would notice: the probes are on."""
    open_eyes = train_text.replace("is_causal=mask is None", "is_causal=False")
    assert open_eyes != train_text
    result = smoke({"open": turned(open_eyes, TOKENS_PER_STEP=256)})["open"]
    assert "causality" in result["error"]


def test_gradients_of_an_accumulated_step_are_those_of_the_whole_batch(train_text: str, smoke: Smoke) -> None:
    check = """
_passes_seen = []
def update(model, *_):
    total = sum(float(p.grad.double().square().sum()) for p in model.parameters())
    _passes_seen.append(total)
    print("gradient", f"{total:.6e}")
    for p in model.parameters():
        p.grad = None

if __name__ == "__main__":
"""
    text = turned(train_text, TOKENS_PER_STEP=1024).replace('\nif __name__ == "__main__":\n', check)
    # A referee that hands out the same text in one batch or in two halves.
    halves = turned(text, MAX_ROWS=4)
    same = """
_whole = torch.randint(0, 2047, (8, 129), generator=torch.Generator().manual_seed(3))
_real = prepare.batches
class _Rows:
    def __init__(self, rows):
        self.stream, self.rows, self.at = _real(rows), rows, 0
    def __iter__(self):
        for _ in self.stream:
            part = _whole[self.at : self.at + self.rows]
            self.at = (self.at + self.rows) % 8
            yield part[:, :-1], part[:, 1:]
    fraction, tokens, elapsed_s = 0.5, 1, 1.0
prepare.batches = _Rows

if __name__ == "__main__":
"""
    canvases = {
        name: c.replace('\nif __name__ == "__main__":\n', same)
        for name, c in {"whole": text, "halves": halves}.items()
    }
    results = smoke(canvases)
    seen = {name: re.findall(r"gradient (\S+)", result["output"]) for name, result in results.items()}
    assert results["whole"]["error"] == results["halves"]["error"] == ""
    whole, half = float(seen["whole"][0]), float(seen["halves"][0])
    assert abs(whole - half) < 1e-4 * whole
    assert len(seen["halves"]) == len(seen["whole"]) // 2


def test_forward_returns_logits_and_imports_are_the_referee_torch_and_the_standard_library(
    train_text: str,
) -> None:
    tree = ast.parse(train_text)
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            roots.add((node.module or "").partition(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"prepare", "torch"}
    lines = train_text.count("\n")
    assert 300 <= lines <= 580


def test_the_progress_line_is_rewritten_on_a_terminal_and_plain_elsewhere(
    train_text: str, tmp_path: Path, smoke: Smoke, smoke_cache: Path
) -> None:
    canvas = tmp_path / "train.py"
    canvas.write_text(turned(train_text, TOKENS_PER_STEP=256, DEPTH=1, N_EMBD=16, N_HEAD=1))
    smoke({"train": canvas.read_text()})  # prepares the corpus, unless another test did
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "AUTORESEARCH_CACHE": str(smoke_cache),
        "AUTORESEARCH_SOURCE": str(smoke_cache / "corpus"),
        "AUTORESEARCH_BUDGET_S": "0.6",
        "AUTORESEARCH_DEVICE": "cpu",
    }
    line = r"step \d{5} \| +\d+ % \| loss \d+\.\d+ \| \d+k tok/s"
    piped = subprocess.run(
        [sys.executable, str(canvas)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert piped.returncode == 0, piped.stderr
    assert re.search(rf"^{line}$", piped.stdout, re.MULTILINE)
    assert "\r" not in piped.stdout
    parent, child = pty.openpty()
    process = subprocess.Popen([sys.executable, str(canvas)], env=environment, stdout=child, stderr=child)
    os.close(child)
    shown = b""
    try:
        while chunk := os.read(parent, 65536):
            shown += chunk
    except OSError:  # the terminal closes with its last process
        pass
    assert process.wait(60) == 0
    os.close(parent)
    assert re.search(rf"\r\x1b\[K{line}", shown.decode())
