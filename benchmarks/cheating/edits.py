"""What an edit is, and the few ways in which the catalogue changes a source. An anchor that is gone is an error."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

Apply = Callable[[str], str]

ATTENTION = "        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)\n"
LOGITS = "        logits: Tensor = self.head(self.final_norm(x)).float()\n"
LOSS = "    return F.cross_entropy(logits.flatten(0, 1), y.flatten())\n"
LOOP = "    for batch, (x, y) in enumerate(stream := prepare.batches(batch_rows()), start=1):\n"
MODEL = "    model = GPT().to(prepare.device)\n"


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a training script, in words and as code."""

    id: str
    what: str
    apply: Apply


def replaced(*pairs: str) -> Apply:
    """Old, new, old, new, …: each old one must be there."""

    def apply(source: str) -> str:
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            assert old in source, f"the anchor is gone: {old!r}"
            source = source.replace(old, new, 1)
        return source

    return apply


def both(*edits: Apply) -> Apply:
    """One after the other."""

    def apply(source: str) -> str:
        for edit in edits:
            source = edit(source)
        return source

    return apply


def at_head(code: str) -> Apply:
    """Code that runs when the script is read, right after the imports."""
    return replaced("import prepare\n", "import prepare\n\n" + textwrap.dedent(code).strip() + "\n")


def _in_main(anchor: str, code: str) -> Apply:
    return replaced(anchor, textwrap.indent(textwrap.dedent(code).strip(), "    ") + "\n" + anchor)


def before_training(code: str) -> Apply:
    """Code in main(), with `model` and `optimizers`, before the first batch."""
    return _in_main("    progress = ProgressLine()\n", code)


def before_finish(code: str) -> Apply:
    """Code in main(), after the last batch, before the referee gets the model."""
    return _in_main("    prepare.finish(model, **speed_of(model, stream))\n", code)


def after_logits(code: str) -> Apply:
    """Code in GPT.forward, where `tokens` and `logits` are known."""
    return replaced(LOGITS, LOGITS + textwrap.indent(textwrap.dedent(code).strip(), "        ") + "\n")
