"""What the wall between referee and trainer costs on a GPU: `python benchmarks/gpu_check.py [--seconds 30]`.

The canvas of the preset for an H100, on the text of this Python's own packages, with the referee in a process of
its own; then the same steps from batches in the trainer's own memory. Then a referee that is killed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOBS = {
    "DEPTH": "8", "N_EMBD": "512", "N_HEAD": "4", "RMS_NORM": "True", "RELU_SQUARED": "True", "QK_NORM": "True",
    "SOFTCAP": "15.0", "TOKENS_PER_STEP": "2**18", "MATRIX_OPTIMIZER": '"muon"', "MAX_ROWS": "64", "COMPILE": "True",
}  # fmt: skip
DATA = {"VOCAB_SIZE": "8192", "MAX_SEQ_LEN": "2048", "EVAL_TOKENS": "2**21", "CHUNK_CHARS": "0"}
IN_ONE_PROCESS = '''
    import numpy as _numpy
    class _Local:
        """Batches from an array in this process, by wall time: what a loader without a wall does."""
        def __init__(self, rows, length=prepare.MAX_SEQ_LEN):
            self.tokens, self.elapsed_s, self.fraction, self.rows, self.length = 0, 0.0, 0.0, rows, length
            self.text = _numpy.random.default_rng(0).integers(0, prepare.BOS, 2**26, dtype=_numpy.uint16)
            self.dice, self.began, self.queued = _numpy.random.default_rng(1), None, None
        def __iter__(self):
            return self
        def __next__(self):
            if self.began is None:
                torch.cuda.synchronize()
                self.began = time.perf_counter()
            starts = self.dice.integers(0, len(self.text) - self.length, self.rows)
            window = torch.from_numpy(self.text[starts[:, None] + _numpy.arange(self.length + 1)].astype("int64"))
            window = window.pin_memory().to(prepare.device, non_blocking=True)
            earlier, self.queued = self.queued, torch.cuda.Event()
            self.queued.record()
            if earlier:
                earlier.synchronize()
            self.elapsed_s = time.perf_counter() - self.began
            self.fraction = min(1.0, self.elapsed_s / SECONDS)
            if self.fraction >= 1.0:
                raise StopIteration
            self.tokens += self.rows * self.length
            return window[:, :-1].contiguous(), window[:, 1:].contiguous()
    local = _Local(batch_rows())
    prepare.watch = lambda loss: None
    for batch, (x, y) in enumerate(local, start=1):
        loss = compute_loss(model, x, y)
        scaler.scale(loss / accumulated_passes()).backward()
        if batch % accumulated_passes() == 0:
            update(model, optimizers, scaler, local.fraction)
    torch.cuda.synchronize()
    rows = max(1, 2**16 // prepare.MAX_SEQ_LEN)
    asked = torch.from_numpy(local.text[: 2**21].astype("int64").reshape(-1, prepare.MAX_SEQ_LEN)).to(prepare.device)
    began, nats = time.perf_counter(), torch.zeros((), dtype=torch.float64, device=prepare.device)
    with torch.inference_mode():
        model.eval()
        for part in asked.split(rows):
            logits = model(part).float()
            nats += F.cross_entropy(logits[:, :-1].flatten(0, 1), part[:, 1:].flatten(), reduction="sum").double()
    torch.cuda.synchronize()
    print(f"eval_seconds: {time.perf_counter() - began:.2f}")
    print(f"tokens_per_s: {local.tokens / local.elapsed_s:.1f}")
    print(f"peak_vram_mb: {torch.cuda.max_memory_allocated() / 2**20:.1f}", flush=True)
    os._exit(0)
'''


def stamped(text: str, knobs: dict[str, str]) -> str:
    """The text with these knobs, each of which stands once."""
    for name, value in knobs.items():
        text, found = re.subn(
            rf"^{name} = [^#\n]*?(?=\s*(#|$))", f"{name} = {value}", text, flags=re.MULTILINE
        )
        assert found == 1, name
    return text


def lay_out(folder: Path, seconds: float) -> None:
    """Both canvases, the referee, and text to prepare."""
    (folder / "training").mkdir()
    data = DATA | {"DATA_SOURCE": repr(str(folder / "texts"))}
    (folder / "prepare.py").write_text(stamped((ROOT / "prepare.py").read_text(), data))
    canvas = stamped((ROOT / "training" / "train.py").read_text(), KNOBS)
    (folder / "training" / "train.py").write_text(canvas)
    anchor = "    progress = ProgressLine()\n"
    assert canvas.count(anchor) == 1
    local = IN_ONE_PROCESS.replace("SECONDS", str(seconds))
    (folder / "training" / "local.py").write_text(canvas.replace(anchor, local + anchor))


def prepare_bytes(folder: Path) -> None:
    """What preparing leaves, with the bytes of this Python's packages for tokens: no tokenizer is needed."""
    program = """
import json, sys, sysconfig
from pathlib import Path
import numpy as np
import prepare
files = [f for f in sorted(Path(sysconfig.get_path("purelib")).rglob("*.py")) if 2000 < f.stat().st_size < 200_000]
text = np.frombuffer(b"".join(f.read_bytes() for f in files[:6000]), np.uint8).astype(np.uint16)
lengths = np.zeros(prepare.VOCAB_SIZE, np.int32)
lengths[:256] = 1
draft = prepare.cache_root() / "draft"
draft.mkdir(parents=True)
parts = {"tokenizer.json": b"{}", "token_bytes.bin": lengths.tobytes()}
parts |= {"val.bin": text[-(2**22) - 1 :].tobytes(), "train.bin": text[: -(2**22)].tobytes()}
for name, data in parts.items():
    (draft / name).write_bytes(data)
manifest = {"parameters": prepare.data_parameters(), "source_sha256": "none"}
manifest["files"] = {name: prepare.file_sha256(draft / name) for name in parts}
(draft / "manifest.json").write_text(json.dumps(manifest))
name = prepare.fingerprint_of(manifest)
draft.rename(prepare.cache_root() / name)
prepare.pointer_of(prepare.DATA_SOURCE).write_text(name)
print(f"{len(text) / 1e6:.0f} M bytes of text", flush=True)
"""
    subprocess.run([sys.executable, "-c", program], cwd=folder, env=env(folder, 1), check=True)


def run(folder: Path, script: str, seconds: float, log: Path) -> dict[str, float]:
    """The figures that a canvas prints, and the seconds it took."""
    began = time.perf_counter()
    with log.open("w") as output:
        environment = env(folder, seconds)
        done = subprocess.run(
            [sys.executable, f"training/{script}"], cwd=folder, env=environment, stdout=output, stderr=output
        )
    text = log.read_text()
    found = {name: float(value) for name, value in re.findall(r"^(\w+):\s+([-\d.]+)$", text, re.MULTILINE)}
    if done.returncode != 0:
        print(f"{script} ended with {done.returncode}:\n{text[-3000:]}", flush=True)
    return found | {"wall_s": time.perf_counter() - began}


def env(folder: Path, seconds: float) -> dict[str, str]:
    """What a run by hand is given."""
    told = {"AUTORESEARCH_BUDGET_S": f"{seconds:g}", "AUTORESEARCH_CACHE": str(folder / "cache")}
    return os.environ | told | {"PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}


def kill_the_referee(folder: Path) -> str:
    """What comes of a run whose referee is killed while it trains."""
    process = subprocess.Popen(
        [sys.executable, "training/train.py"],
        cwd=folder,
        env=env(folder, 600),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("step"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    referee = next(c for c in children if b"--referee" in Path(f"/proc/{c}/cmdline").read_bytes())
    os.kill(int(referee), signal.SIGKILL)
    try:
        said, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        return "the trainer went on for 30 s: NOT ended"
    return f"exit code {process.returncode}: {said.strip().splitlines()[-1]}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of training, each")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder, seconds)
        prepare_bytes(folder)
        rows = [("in one process", run(folder, "local.py", seconds, folder / "local.log"))]
        rows.append(("two processes", run(folder, "train.py", seconds, folder / "train.log")))
        names = (
            "tokens_per_s",
            "eval_seconds",
            "peak_vram_mb",
            "referee_mb",
            "val_bpb",
            "look_ahead_bpb",
            "wall_s",
        )
        print(f"{'':16}" + "".join(f"{name:>18}" for name in names))
        for label, found in rows:
            print(
                f"{label:16}"
                + "".join(f"{found[name]:18.6g}" if name in found else f"{'-':>18}" for name in names)
            )
        print("a killed referee:", kill_the_referee(folder), flush=True)


if __name__ == "__main__":
    main()
