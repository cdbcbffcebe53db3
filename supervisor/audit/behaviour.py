"""What one file does where: work outside the training loop, state kept by a model, branches on an evaluation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from supervisor.audit import names
from supervisor.audit.reader import Imports, Sighting, nodes_of
from supervisor.audit.rules import Ground

MOST_TEXT = 2000  # characters of literals, and numbers in one literal, beyond which a file carries data
MOST_NUMBERS = 200
LONGEST_INTEGER_BITS = 256

Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_training(tree: ast.Module) -> Iterator[Sighting]:
    """Training outside the loop over the referee's batches, and more than one such loop."""
    imports = Imports(tree)
    calls = (node for node in nodes_of(tree) if isinstance(node, ast.Call))
    batch_calls = [call for call in calls if imports.dotted(call.func) == "prepare.batches"]
    for call in batch_calls[1:]:
        yield Sighting(Ground.BATCHES, call, "asks for batches once more")
    if not batch_calls:
        return
    functions = {node.name: node for node in nodes_of(tree) if isinstance(node, Function)}
    workers = _workers(functions)
    scope = next((f for f in functions.values() if any(n is batch_calls[0] for n in nodes_of(f))), tree)
    loops = [n for n in nodes_of(scope) if isinstance(n, ast.For | ast.While)]
    loop = next((n for n in loops if any(inner is batch_calls[0] for inner in nodes_of(n))), None)
    first = batch_calls[0].lineno if loop is None else loop.lineno
    last = (
        loops[-1].end_lineno if loop is None and loops else loop.end_lineno if loop else batch_calls[0].lineno
    )
    allowed = {id(n) for call in _warm_ups(tree, imports) for n in nodes_of(call)}
    for node in nodes_of(scope):
        if id(node) in allowed or not isinstance(node, ast.Call) or not _is_work(node, workers):
            continue
        if node.lineno < first and not _inside_a_worker(node, scope, workers):
            yield Sighting(Ground.BEFORE_CLOCK, node, "trains before the first batch")
        elif last is not None and node.lineno > last:
            yield Sighting(Ground.AFTER_CLOCK, node, "trains after the last batch")
    if scope is not tree:
        yield from _work_elsewhere(tree, workers, scope, allowed)


def _work_elsewhere(
    tree: ast.Module, workers: set[str], scope: ast.AST, allowed: set[int]
) -> Iterator[Sighting]:
    """Training that starts at the top level, or in a method that is no part of a training step."""
    inside = {id(n) for n in nodes_of(scope)}
    main = {scope.name} if isinstance(scope, Function) else set()
    for node in tree.body:
        for call in (n for n in nodes_of(node) if isinstance(n, ast.Call)):
            top_level = not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if id(call) in inside | allowed or not top_level:
                continue
            if _is_work(call, workers - main):
                yield Sighting(Ground.BEFORE_CLOCK, call, "trains at the top level")


def _workers(functions: dict[str, Function]) -> set[str]:
    """The functions that train: they go backward, or call one that does."""
    workers: set[str] = set()
    while True:
        more = {
            name
            for name, function in functions.items()
            if any(isinstance(n, ast.Call) and _is_work(n, workers) for n in nodes_of(function))
        }
        if more == workers:
            return workers
        workers = more


def _is_work(call: ast.Call, workers: set[str]) -> bool:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr == "backward" or call.func.attr in workers
    return isinstance(call.func, ast.Name) and call.func.id in workers


def _inside_a_worker(node: ast.AST, scope: ast.AST, workers: set[str]) -> bool:
    """Whether a nested function that trains holds the node: it works when it is called."""
    inner = (f for f in nodes_of(scope) if isinstance(f, Function) and f is not scope and f.name in workers)
    return any(n is node for f in inner for n in nodes_of(f))


def _warm_ups(tree: ast.AST, imports: Imports) -> Iterator[ast.Call]:
    for node in nodes_of(tree):
        if isinstance(node, ast.Call) and imports.dotted(node.func) == "prepare.warm_up":
            yield node


def read_models(tree: ast.Module) -> Iterator[Sighting]:
    """State that methods keep from call to call, and branches on shapes that only an evaluation has."""
    shared = {
        t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
    }
    for owner in (node for node in nodes_of(tree) if isinstance(node, ast.ClassDef)):
        steps = any(isinstance(m, ast.FunctionDef) and m.name == "step" for m in owner.body)
        for method in (m for m in owner.body if isinstance(m, Function)):
            if method.name == "forward" or (not steps and not method.name.startswith("__")):
                yield from _kept_state(method, shared)
    for function in (node for node in nodes_of(tree) if isinstance(node, Function)):
        yield from _shape_branches(function)


def _kept_state(method: Function, shared: set[str]) -> Iterator[Sighting]:
    guarded = {
        id(inner)
        for node in nodes_of(method)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "self.training"
        for statement in node.body
        for inner in nodes_of(statement)
    }
    for node in nodes_of(method):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            yield Sighting(Ground.EVALUATION, node, f"{method.name} keeps {', '.join(node.names)}")
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            root = _root(node)
            if (root == "self" and method.name == "forward") or root in shared:
                yield Sighting(Ground.EVALUATION, node, f"{method.name} keeps {ast.unparse(node)[:40]}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            root = _root(node.func.value)
            in_place = node.func.attr in names.MUTATORS or node.func.attr.endswith("_")
            if in_place and (root in shared or (root == "self" and method.name == "forward")):
                owner = ast.unparse(node.func.value)[:40]
                yield Sighting(Ground.EVALUATION, node, f"{method.name} keeps {owner}")


def _shape_branches(function: Function) -> Iterator[Sighting]:
    sizes = {
        target.id
        for node in nodes_of(function)
        if isinstance(node, ast.Assign) and _asks_shape(node.value)
        for part in node.targets
        for target in nodes_of(part)
        if isinstance(target, ast.Name)
    }
    for node in nodes_of(function):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        literal = any(_is_literal(side) for side in sides)
        shaped = any(_asks_shape(s) or (isinstance(s, ast.Name) and s.id in sizes) for s in sides)
        if literal and shaped:
            yield Sighting(Ground.EVALUATION, node, "asks for one shape")


def _asks_shape(node: ast.AST) -> bool:
    return any(
        (isinstance(n, ast.Attribute) and n.attr in ("shape", "size", "numel"))
        or (isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "len")
        for n in nodes_of(node)
    )


def _is_literal(node: ast.AST) -> bool:
    if isinstance(node, ast.Tuple):
        return bool(node.elts) and all(_is_literal(each) for each in node.elts)
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 1


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def read_literals(tree: ast.Module, metric: str) -> Iterator[Sighting]:
    """Texts that look like results, and literals that carry data."""
    docstrings = {id(node.value) for node in nodes_of(tree) if isinstance(node, ast.Expr)}
    statements = {id(inner): node for node in nodes_of(tree) if _is_simple(node) for inner in nodes_of(node)}
    for node in nodes_of(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            if isinstance(node.value, str) and (metric in node.value or node.value.strip() == "---"):
                # All of the statement: what stands beside the name is what is said.
                where = statements.get(id(node), node)
                yield Sighting(Ground.METRIC, where, f"says {node.value.strip()[:40]!r}")
            if isinstance(node.value, str | bytes) and len(node.value) > MOST_TEXT:
                yield Sighting(Ground.DATA, node, f"a literal of {len(node.value)} characters")
            if type(node.value) is int and node.value.bit_length() > LONGEST_INTEGER_BITS:
                yield Sighting(Ground.DATA, node, f"a number of {node.value.bit_length()} bits")
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            count = sum(isinstance(n, ast.Constant) for n in nodes_of(node))
            if count > MOST_NUMBERS:
                yield Sighting(Ground.DATA, node, f"a literal of {count} values")


def _is_simple(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt) and not hasattr(node, "body")
