"""Presets: stamped as plain text, sound, and trained for real at a size that a core can bear."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping

import pytest

from roles.backends.offline.canvas import read_knobs
from roles.backends.offline.constraints import violated
from sessions.devices.discovery import FoundDevice
from supervisor.errors import LabError
from supervisor.lab.presets import (
    CANVAS,
    PRESETS,
    Literal,
    Preset,
    better_preset,
    fitting_preset,
    knobs_of,
    stamp,
    template_path,
)

Smoke = Callable[[dict[str, str]], dict[str, dict[str, str]]]
LEAST_MEMORY_GB = {"h100": 80, "rtx-24gb": 24, "rtx-8gb": 8, "mps": 8, "cpu": 2}


def template(file: str) -> str:
    return (template_path() / file).read_text()


def memory_gb(preset: Preset, template: Mapping[str, Literal]) -> float:
    """About what a training run of `preset` takes at its peak; `template` holds the knobs that it leaves alone.

    Weights, gradients and two moments in fp32: 16 bytes a parameter. Per token of a pass and per block some 14
    widths of 16-bit activations kept for the way back, and 8 bytes for each logit: with these numbers the
    45.1 GB come out that upstream's README shows for its own 8 blocks of 512 and 128 rows of 2048.
    """
    knobs = {**template, **preset.train, **preset.prepare}
    width, depth, vocabulary = (int(knobs[name]) for name in ("N_EMBD", "DEPTH", "VOCAB_SIZE"))
    # Every other block has a value embedding, the last one among them.
    tables = 2 + (-(-depth // 2) if knobs["VALUE_EMBEDDINGS"] else 0)
    parameters = tables * vocabulary * width + depth * (4 + 2 * int(knobs["MLP_RATIO"])) * width**2
    tokens = min(int(knobs["MAX_ROWS"]) * int(knobs["MAX_SEQ_LEN"]), int(knobs["TOKENS_PER_STEP"]))
    per_token = 14 * width * depth * 2 + vocabulary * 8
    return (16 * parameters + tokens * per_token) / 2**30


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_stamped_preset_is_plain_knobs_that_hold_the_asserts(preset: Preset) -> None:
    for file, knobs in ((CANVAS, preset.train), ("prepare.py", preset.prepare)):
        text = preset.stamped(file, template(file))
        ast.parse(text)
        assert {name: knobs_of(text)[name] for name in knobs} == dict(knobs)
        assert len(text.splitlines()) == len(template(file).splitlines())
    stamped = preset.stamped(CANVAS, template(CANVAS))
    assert violated(stamped, {name: knob.value for name, knob in read_knobs(stamped).items()}) is None
    assert max(map(len, stamped.splitlines())) <= 120


def test_the_cpu_preset_stamps_nothing() -> None:
    assert PRESETS["cpu"].stamped(CANVAS, template(CANVAS)) == template(CANVAS)


def test_every_preset_trains_and_passes_the_probes_in_miniature(smoke: Smoke) -> None:
    small = {"DEPTH": 2, "N_EMBD": 64, "N_HEAD": 2, "INIT_STD": 0.125, "TOKENS_PER_STEP": 512, "MAX_ROWS": 2}
    small |= {"COMPILE": False}
    text = template(CANVAS)
    canvases = {name: stamp(preset.stamped(CANVAS, text), small) for name, preset in PRESETS.items()}
    canvases["h100"] = stamp(canvases["h100"], {"WINDOW_PATTERN": "SL"})  # one of each in two blocks
    results = smoke(canvases)
    assert {name: result["error"] for name, result in results.items()} == dict.fromkeys(PRESETS, "")
    for result in results.values():
        assert re.search(r"^tokens_per_s: +\d", result["output"], re.MULTILINE)
        assert "mfu_percent" not in result["output"]  # a CPU has no peak in the table


def test_a_canvas_that_is_set_to_a_cpu_is_told_on_a_gpu_and_nowhere_else() -> None:
    gpu = FoundDevice("cuda:0", "NVIDIA H200", "NVIDIA H200 141 GB", (), 143_000)
    core = FoundDevice("cpu:0", "cpu", "core 0", (0,), None)
    plain = template(CANVAS)
    strong = PRESETS["h100"].stamped(CANVAS, plain)
    assert better_preset((gpu,), plain, plain) == PRESETS["h100"]
    assert better_preset((core,), plain, plain) is None
    assert better_preset((gpu,), strong, plain) is None
    assert better_preset((gpu,), "(", plain) is None


def test_a_knob_that_is_missing_or_stands_twice_is_named() -> None:
    with pytest.raises(LabError, match="sets DEPTH, which stands 0 times"):
        stamp("WIDTH = 3\n", {"DEPTH": 8})
    with pytest.raises(LabError, match="stands 2 times"):
        stamp("DEPTH = 3\nDEPTH = 4\n", {"DEPTH": 8})


def test_a_stamp_keeps_comments_and_what_only_looks_like_the_knob() -> None:
    text = 'DEPTH = 4  # blocks\nPATTERN = "a # b"  # c\nX_DEPTH = 1\n    DEPTH = 2\n'
    expected = 'DEPTH = 8  # blocks\nPATTERN = "SL"  # c\nX_DEPTH = 1\n    DEPTH = 2\n'
    assert stamp(text, {"DEPTH": 8, "PATTERN": "SL"}) == expected


def gpu(memory_mb: int, number: int = 0) -> FoundDevice:
    return FoundDevice(f"cuda:{number}", "NVIDIA", "a card", (), memory_mb)


@pytest.mark.parametrize(
    ("devices", "name"),
    [
        ((gpu(143771),), "h100"),
        ((gpu(81559),), "h100"),
        ((gpu(40960),), "rtx-24gb"),
        ((gpu(24564),), "rtx-24gb"),
        ((gpu(15360),), "rtx-8gb"),
        ((gpu(8188),), "rtx-8gb"),
        ((gpu(4096),), "cpu"),
        ((gpu(81559), gpu(8188, 1)), "rtx-8gb"),
        ((FoundDevice("mps", "mps", "Apple GPU", (), None),), "mps"),
        ((FoundDevice("cpu:0", "cpu", "core 0", (0,), None),), "cpu"),
        ((), "cpu"),
    ],
)
def test_the_fitting_preset_goes_by_the_smallest_device(devices: tuple[FoundDevice, ...], name: str) -> None:
    assert fitting_preset(devices).name == name


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_needs_three_quarters_of_its_card_at_most(preset: Preset) -> None:
    knobs = knobs_of(template(CANVAS)) | knobs_of(template("prepare.py"))
    assert memory_gb(preset, knobs) <= 0.75 * LEAST_MEMORY_GB[preset.name]
