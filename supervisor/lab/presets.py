"""What the template's files are set to for a machine: knobs as data, stamped into them as plain text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sessions.devices.discovery import FoundDevice
from supervisor.errors import LabError
from supervisor.text import parsed

CANVAS = "training/train.py"  # of our own layout
Literal = int | float | str | bool
Knobs = Mapping[str, Literal]


@dataclass(frozen=True, slots=True)
class Preset:
    """A machine's settings of a new lab; nothing overrides them at run time."""

    name: str
    description: str  # one line
    budget_s: float  # of training a run
    train: Knobs = field(default_factory=dict)  # of training/train.py
    prepare: Knobs = field(default_factory=dict)  # of prepare.py

    def stamped(self, file: str, text: str) -> str:
        """`text` of a template file, set to this preset. Raises LabError."""
        knobs = {CANVAS: self.train, "prepare.py": self.prepare}.get(file, {})
        return stamp(text, knobs)


# The recipe of karpathy/autoresearch at depth 8 as it is publicly known, with what its public log of 126 runs on an
# H100 kept: half the batch (−.0119), an embedding rate of .8 (−.0033), RoPE's base (−.0012), and each under −.001
# the short windows, the warm-down with its last rate, the head's rate and Muon's shorter warm-up.
_STRONG: dict[str, Literal] = {
    "DEPTH": 8,
    "N_EMBD": 512,
    "N_HEAD": 4,
    "ROPE_BASE": 200000.0,
    "WINDOW_PATTERN": "SSSL",
    "SHORT_WINDOW": 0.125,
    "RMS_NORM": True,
    "RELU_SQUARED": True,
    "QK_NORM": True,
    "VALUE_EMBEDDINGS": True,
    "VALUE_GATE": True,
    "NORMED_EMBEDDING": True,
    "SHORTCUT": True,
    "SOFTCAP": 15.0,
    "INIT_STD": 0.044,  # 1/√512
    "EMBEDDING_STD": 1.0,
    "HEAD_STD": 0.001,
    "ZERO_PROJECTIONS": True,
    "TOKENS_PER_STEP": 2**18,
    "MATRIX_OPTIMIZER": "muon",
    "MUON_LR": 0.04,
    "EMBEDDING_LR": 0.8,
    "UNEMBEDDING_LR": 0.005,
    "SCALAR_LR": 0.5,
    "LR_WIDTH": 768,
    "WEIGHT_DECAY": 0.2,
    "DECAY_FALLS": True,
    "ADAM_BETA1": 0.8,
    "ADAM_EPS": 1e-10,
    "SCALAR_BETA1": 0.96,
    "MUON_WARMUP": 200,
    "MUON_SCALED": True,
    "GRAD_CLIP": 0.0,
    "WARMDOWN": 0.7,
    "FINAL_LR": 0.05,
    "COMPILE": True,
    "MAX_ROWS": 128,
}
_CLIMBMIX: dict[str, Literal] = {
    "DATA_SOURCE": "climbmix",
    "VOCAB_SIZE": 8192,
    "MAX_SEQ_LEN": 2048,
    "EVAL_TOKENS": 2**22,
    "CHUNK_CHARS": 0,  # documents stay whole
}

# Memory by the estimate of tests/canvas/test_presets.py: h100 45 GB, rtx-24gb 16, rtx-8gb 2, mps 1; at most three
# quarters of the smallest card that a preset is for, so that there is room for what grows when a model is edited.
_ALL = (
    Preset(
        "h100",
        "H100, H200, A100: the strong recipe, 50 M parameters on climbmix, 300 s",
        300.0,
        _STRONG,
        _CLIMBMIX,
    ),
    Preset(
        "rtx-24gb",
        "RTX 3090, 4090, 5090, L4, A10, L40S: the strong recipe in smaller passes, 300 s",
        300.0,
        _STRONG | {"DEPTH": 6, "N_EMBD": 384, "N_HEAD": 3, "INIT_STD": 0.051, "TOKENS_PER_STEP": 2**17}
        | {"MAX_ROWS": 64},
        _CLIMBMIX | {"DATA_SOURCE": "climbmix:4", "EVAL_TOKENS": 2**21},
    ),
    Preset(
        "rtx-8gb",
        "8 GB cards, and T4 (fp16 there, for it has no bf16): a small model on tinystories, 300 s",
        300.0,
        _STRONG | {"DEPTH": 4, "N_EMBD": 256, "N_HEAD": 4, "INIT_STD": 0.0625, "TOKENS_PER_STEP": 2**16}
        | {"WINDOW_PATTERN": "L", "SHORT_WINDOW": 0.5, "MAX_ROWS": 64},
        _CLIMBMIX | {"DATA_SOURCE": "tinystories", "VOCAB_SIZE": 4096, "MAX_SEQ_LEN": 512}
        | {"EVAL_TOKENS": 2**20},
    ),
    Preset(
        "mps",
        "Apple silicon: a small model on tinystories, fp32 and not compiled, 300 s",
        300.0,
        _STRONG | {"DEPTH": 4, "N_EMBD": 256, "N_HEAD": 4, "INIT_STD": 0.0625, "TOKENS_PER_STEP": 2**15}
        | {"WINDOW_PATTERN": "L", "SHORT_WINDOW": 0.5, "COMPILE": False, "MAX_ROWS": 16},
        _CLIMBMIX | {"DATA_SOURCE": "tinystories", "VOCAB_SIZE": 4096, "MAX_SEQ_LEN": 512}
        | {"EVAL_TOKENS": 2**19},
    ),
    Preset("cpu", "a plain textbook start for one pinned CPU core, 20 s of CPU time a run", 20.0),
)  # fmt: skip
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _ALL}


def stamp(text: str, knobs: Knobs) -> str:
    """`text` with each knob's literal replaced, its comment kept.

    Raises LabError when a knob's line is not there exactly once.
    """
    for name, value in knobs.items():
        line = re.compile(rf"^{name} = (?P<old>\"[^\"\n]*\"|[^#\n]*?)(?=[ \t]*(#|$))", re.MULTILINE)
        count = len(line.findall(text))
        if count != 1:
            raise LabError(
                f"the preset sets {name}, which stands {count} times in the file; it must stand once"
            )
        assignment = f"{name} = {_written(value)}".replace("\\", r"\\")
        text = line.sub(assignment, text)
    return text


def _written(value: Literal) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1024 and value & (value - 1) == 0:
        return str(value) if value < 2**14 else f"2**{value.bit_length() - 1}"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def fitting_preset(devices: Iterable[FoundDevice]) -> Preset:
    """The preset for the smallest of these devices: by kind and memory; the precision follows the capability."""
    hardware = tuple(devices)
    if any(device.kind == "mps" for device in hardware):
        return PRESETS["mps"]
    memories = [device.memory_mb for device in hardware if device.id.startswith("cuda") and device.memory_mb]
    if not memories:
        return PRESETS["cpu"]
    # What cards have is a little less than what they are called: 24 GB are 23.5 GiB and fewer.
    for name, least_gb in (("h100", 70.0), ("rtx-24gb", 20.0), ("rtx-8gb", 5.5)):
        if min(memories) >= least_gb * 1024:
            return PRESETS[name]
    return PRESETS["cpu"]


def better_preset(devices: Iterable[FoundDevice], canvas: str, template: str) -> Preset | None:
    """The preset that would fit these devices, where `canvas` is still set to a CPU as the `template` is."""
    preset = fitting_preset(devices)
    is_for_cpu = knobs_of(canvas) == knobs_of(template)
    return preset if is_for_cpu and preset.name != "cpu" else None


def knobs_of(text: str) -> dict[str, Literal]:
    """The literals that stand in capitals at the top level of a template file; none of a broken one."""
    knobs: dict[str, Literal] = {}
    tree = parsed(text)
    for node in tree.body if tree else ():
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
                number = _constant(value)
                if number is not None:
                    knobs[name] = number
    return knobs


def _constant(node: ast.expr) -> Literal | None:
    match node:
        case ast.Constant(value=(bool() | int() | float() | str()) as value):
            return value
        case ast.BinOp(
            left=ast.Constant(value=int(base)), op=ast.Pow(), right=ast.Constant(value=int(power))
        ):
            return int(base**power)
    return None


def template_path() -> Path:
    """The folder of program.md, prepare.py and training/train.py: inside the wheel, or the checkout."""
    package = Path(__file__).resolve().parents[1]
    shipped = package / "template"
    return shipped if shipped.is_dir() else package.parent
