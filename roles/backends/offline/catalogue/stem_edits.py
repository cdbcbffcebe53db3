"""Structural edits around the blocks: embedding, head, positions, shortcuts, depth against width."""

from __future__ import annotations

import ast

from roles.backends.offline.canvas import knob_changes, read_knobs
from roles.backends.offline.catalogue.anchors import block_loop, classes, method_body, model
from roles.backends.offline.catalogue.structural_edit import structural, switch_state
from roles.backends.offline.constraints import violated
from roles.backends.offline.source import Changes, Source


@structural("tied-head", "Tie the output head to the token embedding", "embedding", prior=-0.5)
def _tied(source: Source) -> Changes | None:
    """Fewer parameters, and each token's vector gets gradients from both ends."""
    parts = model(source)
    if not parts or not parts.head:
        return None
    tie = f"self.{parts.head.attribute}.weight = self.{parts.embedding.attribute}.weight"
    if any(
        ast.unparse(node) == tie for top in parts.init for node in ast.walk(top) if isinstance(node, ast.stmt)
    ):
        return None
    return [source.inserted_after(parts.init[-1], tie)]


def _lookup_becomes(source: Source, wrap: str) -> Changes | None:
    """`x = self.embedding(tokens)` with the lookup put into `wrap` at {lookup}."""
    if not (parts := model(source)):
        return None
    lookup = parts.lookup.value
    code = wrap.format(lookup=source.code(lookup), name=f"self.{parts.embedding.attribute}")
    return [(source.span(lookup), code)]


@structural("scaled-embedding", "Embedding times √width", "embedding", prior=0.5)
def _scaled_embedding(source: Source) -> Changes | None:
    """Brings small initial vectors to the scale of what the blocks add."""
    if switch_state(source, "NORMED_EMBEDDING"):  # the norm would undo it
        return None
    return _lookup_becomes(source, "{lookup} * {name}.embedding_dim ** 0.5")


@structural("normed-embedding", "Normalise the embedding", "embedding", prior=0.5, switch="NORMED_EMBEDDING")
def _normed_embedding(source: Source) -> Changes | None:
    """The stream starts at unit scale whatever the embedding's learning rate does."""
    return _lookup_becomes(source, "F.rms_norm({lookup}, ({name}.embedding_dim,))")


@structural("token-shift", "Add the token before to each position", "embedding", prior=0.5)
def _token_shift(source: Source) -> Changes | None:
    """Bigrams for free, before attention has learned to find the previous token."""
    if not (parts := model(source)) or "self.shift" in source.text:
        return None
    width, x = parts.embedding.sizes[1], parts.stream
    shifted = f"{x} = {x} + self.shift * F.pad({x}, (0, 0, 1, -1))  # the token before"
    return [
        source.inserted_after(parts.init[-1], f"self.shift = nn.Parameter(torch.zeros({width}))"),
        source.inserted_after(parts.lookup, shifted),
    ]


@structural(
    "embedding-shortcut", "A learned shortcut from the embedding to every block", "shape", prior=0.5, switch="SHORTCUT"
)  # fmt: skip
def _embedding_shortcut(source: Source) -> Changes | None:
    """Later blocks need not carry the token's identity through the stream."""
    parts = model(source)
    block_step = block_loop(parts) if parts else None
    if not parts or not block_step or "self.shortcut" in source.text:
        return None
    loop, step = block_step
    x, block, blocks = parts.stream, ast.unparse(loop.target), source.code(loop.iter)
    assert isinstance(step.value, ast.Call)
    # Weighted by a learned scalar per block.
    call = source.code(step.value).replace(f"{block}({x}", f"{block}({x} + weight * start", 1)
    weights = f"self.shortcut = nn.Parameter(torch.zeros(len({blocks})))"
    zipped = (
        f"start = {x}\nfor {block}, weight in zip({blocks}, self.shortcut, strict=True):\n    {x} = {call}"
    )
    return [source.inserted_after(parts.init[-1], weights), source.replaced(loop, zipped)]


def _rotation(source: Source) -> ast.Assign | None:
    """`q, k = rotate(q, …), rotate(k, …)`, whatever the function is called."""
    for owner in classes(source):
        for node in method_body(owner, "forward"):
            match node:
                case ast.Assign(
                    targets=[ast.Tuple(elts=[ast.Name(id=q), ast.Name()])],
                    value=ast.Tuple(
                        elts=[ast.Call(args=[ast.Name(id=of_q), _, *_]) as first, ast.Call() as second]
                    ),
                ) if q == of_q and ast.unparse(first.func) == ast.unparse(second.func):
                    if any(word in ast.unparse(first.func) for word in ("rot", "rope")):
                        return node
    return None


@structural("learned-positions", "Learned positions for rotary ones", "positions", prior=-0.5)
def _learned_positions(source: Source) -> Changes | None:
    """One addition for a rotation in every block; contexts are short here."""
    rotation, parts = _rotation(source), model(source)
    context = "prepare.sequence_length"
    if not rotation or not parts or "position_embedding" in source.text or context not in source.text:
        return None
    width, x, tokens = parts.embedding.sizes[1], parts.stream, parts.tokens
    draws = parts.weight_draws()
    table = f"self.position_embedding = nn.Embedding({context}, {width})"
    added = f"{x} = {x} + self.position_embedding.weight[: {tokens}.size(1)]"
    return [
        source.inserted_before(draws[0], table) if draws else source.inserted_after(parts.init[-1], table),
        source.inserted_after(parts.lookup, added),
        (source.line_span(rotation), ""),
    ]


@structural("no-positions", "No explicit positions", "positions", prior=-1.0)
def _no_positions(source: Source) -> Changes | None:
    """A causal mask leaks position; the rotation costs time in every block."""
    rotation = _rotation(source)
    return [(source.line_span(rotation), "")] if rotation else None


def _reshaped(source: Source, *, deeper: bool) -> Changes | None:
    """Trade depth against width at about equal compute per token."""
    knobs = read_knobs(source.text)
    upper = {name.upper(): knob for name, knob in knobs.items()}
    depth = next((upper[n] for n in ("DEPTH", "N_LAYER", "N_LAYERS", "NUM_LAYERS") if n in upper), None)
    width = next((upper[n] for n in ("N_EMBD", "D_MODEL", "WIDTH", "DIM") if n in upper), None)
    if not depth or not width or not isinstance(depth.value, int) or not isinstance(width.value, int):
        return None
    new_depth = depth.value * 2 if deeper else depth.value // 2
    new_width = width.value * 3 // 4 if deeper else width.value * 3 // 2
    new_values = {depth.name: new_depth, width.name: new_width}
    values = {knob.name: knob.value for knob in knobs.values()} | new_values
    return None if new_depth < 1 or violated(source.text, values) else knob_changes(source.text, new_values)


@structural("wider-shallower", "Half the depth, one and a half times the width", "shape", prior=1.5)
def _wider(source: Source) -> Changes | None:
    """Fewer, larger matrix products run faster, and small budgets favour shallow models."""
    return _reshaped(source, deeper=False)


@structural("deeper-narrower", "Twice the depth, three quarters of the width", "shape", prior=-1.0)
def _deeper(source: Source) -> Changes | None:
    """Depth composes features, at about equal compute."""
    return _reshaped(source, deeper=True)
