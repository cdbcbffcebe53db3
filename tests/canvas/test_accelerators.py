"""What the canvas does on accelerators, as far as a CPU can tell."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sessions.runs.channel import RefereeEvents
from sessions.runs.contract import RunEnding, RunSpec
from sessions.runs.ending import Attempt, judge

Smoke = Callable[[dict[str, str]], dict[str, dict[str, str]]]
STRONG = {
    "MATRIX_OPTIMIZER": "muon",
    "MUON_SCALED": True,
    "QK_NORM": True,
    "VALUE_EMBEDDINGS": True,
    "VALUE_GATE": True,
    "SHORTCUT": True,
    "RMS_NORM": True,
    "WINDOW_PATTERN": "SL",
    "DEPTH": 2,
}


def turned(text: str, **knobs: object) -> str:
    for name, value in knobs.items():
        text, found = re.subn(
            rf"^{name} = [^#\n]*?(?=\s*(#|$))", f"{name} = {value!r}", text, flags=re.MULTILINE
        )
        assert found == 1, name
    return text


@pytest.fixture
def canvas(monkeypatch: pytest.MonkeyPatch, train_text: str) -> Callable[..., Any]:
    """The canvas as a module, beside a referee that is only its four facts."""
    referee = types.ModuleType("prepare")
    referee.__dict__.update(seed=1, device="cpu", vocab_size=64, sequence_length=32, Batches=object)
    monkeypatch.setitem(sys.modules, "prepare", referee)

    def load(**knobs: object) -> Any:
        module = types.ModuleType("canvas")
        exec(compile(turned(train_text, **knobs), "train.py", "exec"), module.__dict__)
        torch.manual_seed(1)
        return module

    return load


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_sees_what_the_masked_attention_sees(canvas: Callable[..., Any]) -> None:
    module = canvas(SHORT_WINDOW=0.25, WINDOW_PATTERN="S")
    attention = module.Attention(0)
    x, tokens = torch.randn(2, 32, 64), torch.zeros(2, 32, dtype=torch.long)
    cos, sin = torch.ones(32, 8), torch.zeros(32, 8)
    assert module.flex_window(32, attention.window) is None  # it cannot train on a CPU
    module.flex_window.cache_clear()
    module.COMPILE, module.ON_CUDA, module.CAPABILITY = True, True, (8, 9)
    attention.flex = module.flex_window(32, attention.window)
    with torch.no_grad():
        masked = attention(x, tokens, cos, sin)
        q, k, v = (part.view(2, 32, 4, 16).transpose(1, 2) for part in attention.qkv(x).split(64, -1))
        fast = attention.out(attention.attend_fast(q, k, v).reshape(2, 32, 64))
    torch.testing.assert_close(fast, masked, atol=1e-5, rtol=1e-4)


def test_flash_attention_is_given_the_same_window(canvas: Callable[..., Any]) -> None:
    module = canvas(SHORT_WINDOW=0.25, WINDOW_PATTERN="SL")

    def flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, window_size: tuple[int, int]):  # type: ignore[no-untyped-def]
        """As its documentation says: (B, T, H, D), `left` earlier positions and `right` later ones, -1 for all."""
        assert causal and q.dtype == v.dtype
        away = torch.arange(32)[:, None] - torch.arange(32)[None, :]
        left, _ = window_size
        mask = (away >= 0) & ((away <= left) if left >= 0 else True)
        parts = (part.transpose(1, 2) for part in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask).transpose(1, 2)

    model, tokens = module.GPT(), torch.randint(64, (2, 32))
    expected = model(tokens)
    module.FLASH_ATTENTION = flash
    torch.testing.assert_close(model(tokens), expected, atol=1e-5, rtol=1e-4)


def test_orthogonalised_matrices_are_nearly_orthogonal(canvas: Callable[..., Any]) -> None:
    module = canvas()
    for shape in ((3, 64, 64), (2, 96, 32), (2, 32, 96)):
        values = torch.linalg.svdvals(module.orthogonalise(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_muon_takes_queries_keys_and_values_for_three_matrices(canvas: Callable[..., Any]) -> None:
    module = canvas(**STRONG | {"MUON_SCALED": False}, WEIGHT_DECAY=0.0, MUON_LR=1.0)
    model = module.GPT()
    optimizer = module.build_optimizers(model)[0]
    weight = model.blocks[0].attention.qkv.weight
    before = weight.detach().clone()
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    for part in (weight.detach() - before).chunk(3):
        assert torch.linalg.svdvals(part).min() > 0.5  # each part is orthogonal by itself


def test_what_was_compiled_for_the_copy_serves_the_model(canvas: Callable[..., Any]) -> None:
    import copy

    from torch._dynamo.testing import CompileCounter

    module = canvas(**STRONG)
    counter = CompileCounter()
    compute = torch.compile(module.loss_of, backend=counter, dynamic=False)
    model = module.GPT()
    batch = torch.randint(64, (2, 32)), torch.randint(64, (2, 32))
    throwaway = copy.deepcopy(model)
    for _ in range(2):
        compute(throwaway, *batch).backward()
    compiled = counter.frame_count
    for _ in range(2):
        compute(model, *batch).backward()
    assert counter.frame_count == compiled == 1  # one graph: nothing in the forward breaks it


def test_a_new_learning_rate_compiles_no_new_muon_step(canvas: Callable[..., Any]) -> None:
    from torch._dynamo.testing import CompileCounter

    module, counter = canvas(**STRONG, DECAY_FALLS=True, MUON_WARMUP=10), CompileCounter()
    module.COMPILED_MUON_STEP = torch.compile(module.muon_step, backend=counter, dynamic=False)
    model = module.GPT()
    optimizers = module.build_optimizers(model)
    frames = []
    for step in range(3):
        module.loss_of(model, torch.randint(64, (2, 32)), torch.randint(64, (2, 32))).backward()
        module.update(model, optimizers, torch.amp.GradScaler("cuda", enabled=False), 0.9 + step / 30)
        frames.append(counter.frame_count)
    assert frames[0] == frames[2] > 0


@pytest.mark.parametrize(
    ("name", "mfu"),
    [
        ("NVIDIA H100 80GB HBM3", 100 / 989.4),
        ("NVIDIA H100 PCIe", 100 / 756.0),
        ("NVIDIA GH200 480GB", 100 / 989.4),
        ("NVIDIA A100-SXM4-80GB", 100 / 312.0),
        ("NVIDIA GeForce RTX 4090", 100 / 165.2),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA RTX A4000", None),
        ("NVIDIA T400 4GB", None),
    ],
)
def test_the_peak_is_the_devices_own_or_none(
    canvas: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, name: str, mfu: float | None
) -> None:
    module = canvas()
    module.ON_CUDA = True
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    monkeypatch.setattr(module, "flops_per_token", lambda _: 1e12)
    stream = types.SimpleNamespace(tokens=200, elapsed_s=2.0)  # 100 TFLOPS
    found = module.speed_of(None, stream)
    assert found["tokens_per_s"] == 100.0
    assert found.get("mfu_percent") == (None if mfu is None else pytest.approx(100 * mfu, abs=0.01))


def test_flops_count_what_is_multiplied(canvas: Callable[..., Any]) -> None:
    module = canvas(DEPTH=2, WINDOW_PATTERN="SL", SHORT_WINDOW=0.5)
    matrices = 2 * 12 * 64**2 + 64 * 64  # blocks and head; tables are looked up, not multiplied
    assert module.flops_per_token(module.GPT()) == 6 * matrices + 12 * 64 * (16 + 32)


def test_a_full_device_is_a_named_verdict(train_text: str, smoke: Smoke) -> None:
    cuda = "CUDA out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of 23.99 GiB"
    full = train_text.replace(
        "    logits = model(x)\n", f"    raise torch.OutOfMemoryError({cuda!r})\n    logits = model(x)\n"
    )
    assert full != train_text
    error = smoke({"full": full})["full"]["error"]
    said = error.removeprefix("SystemExit: ")
    assert said == "out of memory: tried to allocate 8.00 GiB; lower MAX_ROWS (it is 64), or the model's size"
    spec = RunSpec.__new__(RunSpec)
    finding = judge(Attempt(RefereeEvents(), 1, f"step 00001 | 3 %\n{said}\n"), spec, smoke=False)
    assert (finding.ending, finding.reason) == (RunEnding.OUT_OF_MEMORY, said)
