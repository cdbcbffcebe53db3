"""A clone with upstream's shape, for tests: its own train.py, that a CPU can bear, and what it imports."""

from __future__ import annotations

from pathlib import Path

PREPARE = '''"""Constants and data; the benchmark puts its own in the place of this file."""
raise SystemExit("upstream's own prepare.py was imported")
'''
TRAIN = '''"""A small model in upstream's way: the names it imports, its clock, its printed block."""
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
from kernels import get_kernel

from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader

attend = get_kernel("varunneal/flash-attention-3").flash_attn_interface.flash_attn_func
DEVICE_BATCH_SIZE = 4
TOTAL_BATCH_SIZE = 8 * MAX_SEQ_LEN


class GPT(nn.Module):
    def __init__(self, vocabulary, width=32):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.lm_head = nn.Linear(width, vocabulary)

    def estimate_flops(self):
        return 6 * sum(p.numel() for p in self.parameters())

    def forward(self, idx, targets=None, reduction="mean"):
        x = self.wte(idx)
        B, T, C = x.shape
        q, k, v = (part.view(B, T, 2, C // 2) for part in self.qkv(x).split(C, -1))
        x = x + attend(q, k, v, causal=True, window_size=(T, 0)).reshape(B, T, C)
        logits = self.lm_head(x).float()
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


torch.manual_seed(42)
torch.set_num_threads(1)
tokenizer = Tokenizer.from_directory()
model = GPT(tokenizer.get_vocab_size())
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
grad_accum_steps = TOTAL_BATCH_SIZE // (DEVICE_BATCH_SIZE * MAX_SEQ_LEN)
train_loader = make_dataloader(tokenizer, DEVICE_BATCH_SIZE, MAX_SEQ_LEN, "train")
x, y, epoch = next(train_loader)
step, total_training_time = 0, 0.0
while True:
    began = time.time()
    for _ in range(grad_accum_steps):
        (model(x, y) / grad_accum_steps).backward()
        x, y, epoch = next(train_loader)
    optimizer.step()
    optimizer.zero_grad()
    if step > 10:
        total_training_time += time.time() - began
    step += 1
    if step > 10 and total_training_time >= TIME_BUDGET:
        break
model.eval()
val_bpb = evaluate_bpb(model, tokenizer, DEVICE_BATCH_SIZE)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print(f"training_seconds: {total_training_time:.1f}")
print(f"num_steps:        {step}")
'''


def write_clone(folder: Path) -> Path:
    """The three files of upstream's layout."""
    folder.mkdir()
    for name, text in (("prepare.py", PREPARE), ("train.py", TRAIN), ("program.md", "Research.\n")):
        (folder / name).write_text(text)
    return folder
