"""Finding the parts of a transformer in a source: by what the code does, not by line or exact text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from roles.backends.offline.source import Source


@dataclass(frozen=True, slots=True)
class Submodule:
    """`self.attribute = nn.Kind(arguments…)` in a class's `__init__`."""

    attribute: str
    call: ast.Call

    @property
    def sizes(self) -> tuple[str, ...]:
        """Its positional arguments as code."""
        return tuple(ast.unparse(argument) for argument in self.call.args)


@dataclass(frozen=True, slots=True)
class ResidualStep:
    """`x = x + sublayer(norm(x), …)` in a forward method."""

    statement: ast.Assign
    stream: str  # "x"
    sublayer: ast.Call  # the call added to the stream
    normed: ast.Call  # its first argument, the norm of the stream


def classes(source: Source) -> list[ast.ClassDef]:
    """The top-level classes."""
    return [node for node in source.tree.body if isinstance(node, ast.ClassDef)]


def method_body(owner: ast.ClassDef, name: str) -> list[ast.stmt]:
    """The statements of a method; none without it."""
    methods = (n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == name)
    return next((method.body for method in methods), [])


def functions(source: Source) -> list[ast.FunctionDef]:
    """The top-level functions."""
    return [node for node in source.tree.body if isinstance(node, ast.FunctionDef)]


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, else the empty string."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            head = dotted(value)
            return f"{head}.{attribute}" if head else ""
    return ""


def calls(node: ast.AST, pattern: str) -> Iterator[ast.Call]:
    """The calls under `node` whose dotted name matches `pattern` whole."""
    for child in ast.walk(node):
        if isinstance(child, ast.Call) and re.fullmatch(pattern, dotted(child.func)):
            yield child


def submodules(owner: ast.ClassDef, kind: str) -> list[Submodule]:
    """What `__init__` makes of `nn.<kind>` (a pattern) under `self.…`; conditional ones are left out."""
    modules = []
    for node in method_body(owner, "__init__"):
        match node:
            case ast.Assign(
                targets=[ast.Attribute(value=ast.Name(id="self"), attr=attribute)], value=ast.Call() as call
            ) if re.fullmatch(rf"(torch\.)?nn\.({kind})", dotted(call.func)):
                modules.append(Submodule(attribute, call))
    return modules


def residual_steps(source: Source) -> list[ResidualStep]:
    """The residual steps of the one class that has exactly an attention and an MLP step; else none."""
    for owner in classes(source):
        steps = [step for node in method_body(owner, "forward") if (step := _residual_step(node))]
        if len(steps) == 2:
            return steps
    return []


def _residual_step(node: ast.stmt) -> ResidualStep | None:
    match node:
        case ast.Assign(
            targets=[ast.Name(id=stream)],
            value=ast.BinOp(
                left=ast.Name(id=left), op=ast.Add(), right=ast.Call(args=[normed, *_]) as sublayer
            ),
        ) if left == stream and isinstance(normed, ast.Call):
            takes_stream = [ast.unparse(argument) for argument in normed.args] == [stream]
            return ResidualStep(node, stream, sublayer, normed) if takes_stream else None
    return None


@dataclass(frozen=True, slots=True)
class Model:
    """The class that turns tokens into logits: it owns the embedding, the blocks and the head."""

    init: list[ast.stmt]
    forward: list[ast.stmt]
    embedding: Submodule
    head: Submodule | None  # the linear map back to the vocabulary
    lookup: ast.Assign  # `x = self.embedding(tokens)`
    stream: str  # "x"
    tokens: str  # "tokens"

    def weight_draws(self) -> list[ast.stmt]:
        """The statements of `__init__` that draw the weights: `self.apply(…)`."""
        return [n for n in self.init if isinstance(n, ast.Expr) and any(calls(n, r"self\.apply"))]


def model(source: Source) -> Model | None:
    """The language model of a canvas: the one class whose forward looks tokens up and loops over blocks."""
    for owner in classes(source):
        init, forward = method_body(owner, "__init__"), method_body(owner, "forward")
        if not any(_loops_over_modules(node) for node in forward):
            continue
        for embedding in submodules(owner, "Embedding"):
            for node in forward:
                match node:
                    case ast.Assign(
                        targets=[ast.Name(id=stream)], value=ast.Call(args=[ast.Name(id=tokens)]) as call
                    ) if dotted(call.func) == f"self.{embedding.attribute}":
                        head = _head(owner, embedding)
                        return Model(init, forward, embedding, head, node, stream, tokens)
    return None


def _loops_over_modules(node: ast.stmt) -> bool:
    return isinstance(node, ast.For) and "self." in ast.unparse(node.iter)


def _head(owner: ast.ClassDef, embedding: Submodule) -> Submodule | None:
    mirrored = embedding.sizes[::-1]
    return next((linear for linear in submodules(owner, "Linear") if linear.sizes == mirrored), None)


def block_loop(parts: Model) -> tuple[ast.For, ast.Assign] | None:
    """`for block in self.blocks: x = block(x, …)`: the loop and its one statement."""
    for node in parts.forward:
        if isinstance(node, ast.For) and len(node.body) == 1 and isinstance(node.target, ast.Name):
            match node.body[0]:
                case (
                    ast.Assign(
                        targets=[ast.Name(id=stream)], value=ast.Call(func=ast.Name(id=called))
                    ) as step
                ) if stream == parts.stream and called == node.target.id:
                    return node, step
    return None


def output_projections(source: Source) -> list[str]:
    """Attributes of the linear maps that write to the residual stream: what sublayers' forward returns."""
    projections = []
    for owner in classes(source):
        linears = {linear.attribute for linear in submodules(owner, "Linear")}
        match method_body(owner, "forward")[-1:]:
            case [ast.Return(value=ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)))]:
                if name in linears:
                    projections.append(name)
    return projections
