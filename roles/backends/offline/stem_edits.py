"""Structural edits around the blocks: embedding, head, positions, shortcuts, depth against width."""

from __future__ import annotations

import ast

from roles.backends.offline.anchors import (
    block_loop,
    calls,
    classes,
    code_of,
    inserted_after,
    inserted_before,
    method,
    model,
    replaced,
    switch,
    switched_on,
)
from roles.backends.offline.canvas import Source, read_knobs, set_knobs, splice
from roles.backends.offline.constraints import violated
from roles.backends.offline.structural import StructuralEdit


def _tied(source: Source) -> str | None:
    parts = model(source)
    if not parts or not parts.head:
        return None
    tie = f"self.{parts.head.attribute}.weight = self.{parts.embedding.attribute}.weight"
    if any(ast.unparse(node) == tie for node in ast.walk(parts.init) if isinstance(node, ast.stmt)):
        return None
    return splice(source.text, [inserted_after(source, parts.init.body[-1], tie)])


def _lookup_becomes(source: Source, wrap: str) -> str | None:
    """`x = self.embedding(tokens)` with the lookup put into `wrap` at {lookup}."""
    if not (parts := model(source)):
        return None
    code = wrap.format(
        lookup=code_of(source, parts.lookup.value), name=f"self.{parts.embedding.attribute}", x=parts.stream
    )
    return splice(source.text, [(source.span(parts.lookup.value), code)])


def _scaled_embedding(source: Source) -> str | None:
    if switch(source, "NORMED_EMBEDDING"):  # the norm would undo it
        return None
    return _lookup_becomes(source, "{lookup} * {name}.embedding_dim ** 0.5")


def _normed_embedding(source: Source) -> str | None:
    if switch(source, "NORMED_EMBEDDING") is not None:
        return switched_on(source, "NORMED_EMBEDDING")
    return _lookup_becomes(source, "F.rms_norm({lookup}, ({name}.embedding_dim,))")


def _token_shift(source: Source) -> str | None:
    """Each position also sees the one before it, before the first block."""
    if not (parts := model(source)) or "self.shift" in source.text:
        return None
    width, x = parts.embedding.sizes[1], parts.stream
    return splice(
        source.text,
        [
            inserted_after(source, parts.init.body[-1], f"self.shift = nn.Parameter(torch.zeros({width}))"),
            inserted_after(
                source,
                parts.lookup,
                f"{x} = {x} + self.shift * F.pad({x}, (0, 0, 1, -1))  # the token before",
            ),
        ],
    )


def _embedding_shortcut(source: Source) -> str | None:
    """Every block sees the embedding again, weighted by a learned scalar per block."""
    if switch(source, "SHORTCUT") is not None:
        return switched_on(source, "SHORTCUT")
    if not (parts := model(source)) or not (found := block_loop(parts)) or "self.shortcut" in source.text:
        return None
    loop, step = found
    x, block = parts.stream, ast.unparse(loop.target)
    blocks = code_of(source, loop.iter)
    assert isinstance(step.value, ast.Call)
    call = code_of(source, step.value).replace(f"{block}({x}", f"{block}({x} + weight * start", 1)
    return splice(
        source.text,
        [
            inserted_after(
                source,
                parts.init.body[-1],
                f"self.shortcut = nn.Parameter(torch.zeros(len({blocks})))",
            ),
            replaced(
                source,
                loop,
                f"start = {x}\n"
                f"for {block}, weight in zip({blocks}, self.shortcut, strict=True):\n"
                f"    {x} = {call}",
            ),
        ],
    )


def _rotation(source: Source) -> ast.Assign | None:
    """`q, k = rotate(q, …), rotate(k, …)`, whatever the function is called."""
    for owner in classes(source):
        forward = method(owner, "forward")
        for node in forward.body if forward else ():
            match node:
                case ast.Assign(
                    targets=[ast.Tuple(elts=[ast.Name(id=q), ast.Name(id=k)])],
                    value=ast.Tuple(
                        elts=[ast.Call(args=[ast.Name(id=of_q), _, *_]) as first, ast.Call() as second]
                    ),
                ) if q == of_q and ast.unparse(first.func) == ast.unparse(second.func):
                    if any(word in ast.unparse(first.func) for word in ("rot", "rope")):
                        assert isinstance(node, ast.Assign) and k
                        return node
    return None


def _no_positions(source: Source) -> str | None:
    rotation = _rotation(source)
    return splice(source.text, [(source.line_span(rotation), "")]) if rotation else None


def _learned_positions(source: Source) -> str | None:
    """A table of position vectors, added once, for the rotation in every block."""
    rotation, parts = _rotation(source), model(source)
    if not rotation or not parts or "position_embedding" in source.text:
        return None
    context = "prepare.sequence_length"
    if context not in source.text:
        return None
    width, x, tokens = parts.embedding.sizes[1], parts.stream, parts.tokens
    drawn = next(
        (n for n in parts.init.body if isinstance(n, ast.Expr) and any(calls(n, r"self\.apply"))), None
    )
    table = f"self.position_embedding = nn.Embedding({context}, {width})"
    place = (
        inserted_before(source, drawn, table) if drawn else inserted_after(source, parts.init.body[-1], table)
    )
    added = f"{x} = {x} + self.position_embedding.weight[: {tokens}.size(1)]"
    return splice(
        source.text, [place, inserted_after(source, parts.lookup, added), (source.line_span(rotation), "")]
    )


def _reshaped(source: Source, deeper: bool) -> str | None:
    """Trade depth against width at about equal compute per token."""
    knobs = {name.upper(): knob for name, knob in read_knobs(source.text).items()}
    depth = next((knobs[n] for n in ("DEPTH", "N_LAYER", "N_LAYERS", "NUM_LAYERS") if n in knobs), None)
    width = next((knobs[n] for n in ("N_EMBD", "D_MODEL", "WIDTH", "DIM") if n in knobs), None)
    if not depth or not width or not isinstance(depth.value, int) or not isinstance(width.value, int):
        return None
    new_depth = depth.value * 2 if deeper else depth.value // 2
    new_width = width.value * 3 // 4 if deeper else width.value * 3 // 2
    values = {knob.name: knob.value for knob in read_knobs(source.text).values()}
    moved = {depth.name: new_depth, width.name: new_width}
    if new_depth < 1 or violated(source.text, values | moved):
        return None
    return set_knobs(source.text, moved)


STEM_EDITS = (
    StructuralEdit(
        "tied-head",
        "Tie the output head to the token embedding",
        "Fewer parameters, and each token's vector gets gradients from both ends.",
        "embedding",
        -0.5,
        _tied,
    ),
    StructuralEdit(
        "scaled-embedding",
        "Embedding times √width",
        "Brings small initial vectors to the scale of what the blocks add.",
        "embedding",
        0.5,
        _scaled_embedding,
    ),
    StructuralEdit(
        "normed-embedding",
        "Normalise the embedding",
        "The stream starts at unit scale whatever the embedding's learning rate does.",
        "embedding",
        0.5,
        _normed_embedding,
    ),
    StructuralEdit(
        "token-shift",
        "Add the token before to each position",
        "Bigrams for free, before attention has learned to find the previous token.",
        "embedding",
        0.5,
        _token_shift,
    ),
    StructuralEdit(
        "embedding-shortcut",
        "A learned shortcut from the embedding to every block",
        "Later blocks need not carry the token's identity through the stream.",
        "shape",
        0.5,
        _embedding_shortcut,
    ),
    StructuralEdit(
        "learned-positions",
        "Learned positions for rotary ones",
        "One addition for a rotation in every block; contexts are short here.",
        "positions",
        -0.5,
        _learned_positions,
    ),
    StructuralEdit(
        "no-positions",
        "No explicit positions",
        "A causal mask leaks position; the rotation costs time in every block.",
        "positions",
        -1.0,
        _no_positions,
    ),
    StructuralEdit(
        "wider-shallower",
        "Half the depth, one and a half times the width",
        "Fewer, larger matrix products run faster, and small budgets favour shallow models.",
        "shape",
        1.5,
        lambda source: _reshaped(source, deeper=False),
    ),
    StructuralEdit(
        "deeper-narrower",
        "Twice the depth, three quarters of the width",
        "Depth composes features, at about equal compute.",
        "shape",
        -1.0,
        lambda source: _reshaped(source, deeper=True),
    ),
)
