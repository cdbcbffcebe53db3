"""Which line of a program's output says why it failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sessions.runs.failure_reason import failure_reason

CHAINED = """
try:
    {}["x"]
except KeyError:
    raise RuntimeError("shapes differ:\\n  [3] and [4]")
"""
IN_A_LIBRARY = "import json\njson.loads('nope')"
LATE_NOISE = "import atexit, sys\natexit.register(lambda: print('cleaning up', file=sys.stderr))\n1 / 0"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("x = foo", "NameError: name 'foo' is not defined (train.py:1)"),
        ("\nif True\n  pass", "SyntaxError: expected ':' (train.py:2)"),
        (CHAINED, "RuntimeError: shapes differ: (train.py:5)"),
        (
            IN_A_LIBRARY,
            "json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0) (train.py:2)",
        ),
        (LATE_NOISE, "ZeroDivisionError: division by zero (train.py:3)"),
        ("import sys; sys.exit('no data: run prepare.py')", "no data: run prepare.py"),
        ("assert 1 == 2", "AssertionError (train.py:1)"),
        ("print('step 1\\rstep 2\\r', end=''); print('\\x1b[31mbad\\x1b[0m'); exit(1)", "bad"),
        ("exit(1)", ""),
    ],
)
def test_the_reason_is_one_line_that_helps(program: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert failure_reason(done.stdout) == reason


def test_a_reason_stays_short_and_keeps_its_place() -> None:
    frame = 'Traceback (most recent call last):\n  File "/bench/train.py", line 7, in f\n    x\n'
    text = f"{frame}ValueError: {'y' * 5000}\n"
    assert len(failure_reason(text)) <= 300
    assert failure_reason(text).endswith("… (train.py:7)")


NODE = """\
node:internal/modules/cjs/loader:1210
  throw err;
  ^

Error: Cannot find module 'adder'
Require stack:
- /bench/bench.js
    at Module._resolveFilename (node:internal/modules/cjs/loader:1207:15)
    at require (node:internal/modules/helpers:182:18)
    at Object.<anonymous> (/bench/bench.js:1:11)
    at node:internal/main/run_main_module:28:49 {
  code: 'MODULE_NOT_FOUND',
  requireStack: [ '/bench/bench.js' ]
}

Node.js v20.20.2
"""
NODE_SYNTAX = """\
/bench/b.js:1
const x = ;
          ^

SyntaxError: Unexpected token ';'
    at wrapSafe (node:internal/modules/cjs/loader:1464:18)
    at node:internal/main/run_main_module:28:49

Node.js v20.20.2
"""
NODE_ASSERT = """\
node:assert:90
  throw new AssertionError(obj);
  ^

AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

1 !== 2

    at Object.<anonymous> (/bench/b.js:4:40)
    at node:internal/main/run_main_module:28:49 {
  operator: 'strictEqual'
}

Node.js v20.20.2
"""
NODE_THREW_TEXT = """\

/bench/b.js:1
throw "plain"
^
plain
(Use `node --trace-uncaught ...` to show where the exception was thrown)

Node.js v20.20.2
"""
GCC = """\
gcc -o b b.c
b.c: In function 'main':
b.c:1:24: error: 'x' undeclared (first use in this function)
    1 | int main(void){ return x; }
      |                        ^
b.c:1:24: note: each undeclared identifier is reported only once for each function it appears in
make: *** [Makefile:2: bench] Error 1
"""
LD = """\
/usr/bin/ld: /tmp/ccWAqMHC.o: in function `main':
a.c:(.text+0x5): undefined reference to `foo'
collect2: error: ld returned 1 exit status
make: *** [Makefile:2: bench] Error 1
"""
CARGO = """\
error[E0425]: cannot find value `y` in this scope
 --> src/main.rs:1:42
  |
1 | fn main(){ println!("{}", y); }
  |                           ^

For more information about this error, try `rustc --explain E0425`.
error: could not compile `c` (bin "c") due to 1 previous error
"""
PANIC = """\

thread 'main' (13563) panicked at src/main.rs:1:73:
index out of bounds: the len is 1 but the index is 5
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
CARGO_TEST = """\
---- t::adds stdout ----

thread 't::adds' (13669) panicked at src/main.rs:2:41:
assertion `left == right` failed
  left: 1
 right: 2
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s

error: test failed, to rerun pass `--bin c`
"""
GO_PANIC = """\
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/bench/main.go:9 +0x1d
exit status 2
"""
GO_TEST = """\
--- FAIL: TestAdd (0.00s)
    add_test.go:7: got 1, want 2
FAIL
exit status 1
FAIL\texample.com/x\t0.002s
"""
GO_BUILD = "# x\n./main.go:5:2: undefined: foo\n./main.go:6:2: undefined: bar\n"
PYTEST = """\
    def test_a():
>       assert x == 2, "wrong sum"
E       AssertionError: wrong sum
E       assert 1 == 2

test_a.py:3: AssertionError
=========================== short test summary info ============================
FAILED test_a.py::test_a - AssertionError: wrong sum
1 failed in 1.00s
"""
PYTEST_IMPORT = """\
test_b.py:1: in <module>
    import nope
E   ModuleNotFoundError: No module named 'nope'
=========================== short test summary info ============================
ERROR test_b.py
!!!!!!!!!!!!!!!!!!!! Interrupted: 1 error during collection !!!!!!!!!!!!!!!!!!!!
1 error in 1.14s
"""
CHAIN = """\
Traceback (most recent call last):
  File "/bench/ch.py", line 2, in f
    open("nope.bin")
FileNotFoundError: [Errno 2] No such file or directory: 'nope.bin'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/bench/ch.py", line 6, in <module>
    raise RuntimeError("cannot load data") from e
RuntimeError: cannot load data
"""
CALLED = """\
Traceback (most recent call last):
  File "/bench/x.py", line 1, in <module>
    raise ValueError("inner bad")
ValueError: inner bad
Traceback (most recent call last):
  File "/bench/w.py", line 2, in <module>
    subprocess.run([sys.executable,"x.py"],check=True)
  File "/usr/lib/python3.11/subprocess.py", line 571, in run
    raise CalledProcessError(retcode, process.args,
subprocess.CalledProcessError: Command '['python', 'x.py']' returned non-zero exit status 1.
"""
TORCHRUN = """\
[rank0]: Traceback (most recent call last):
[rank0]:   File "/bench/train.py", line 4, in <module>
[rank0]:     raise ValueError("bad")
[rank0]: ValueError: bad
E1128 10:00:00.0 123 torch/distributed/elastic/multiprocessing/api.py:874] failed (exitcode: 1) local_rank: 0 (pid: 9)
Traceback (most recent call last):
  File "/usr/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
  exitcode  : 1 (pid: 9)
============================================================
"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "/bench/eg.py", line 1, in <module>
  |     raise ExceptionGroup("two", [ValueError(1), KeyError("k")])
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: 1
    +------------------------------------
"""
OUT_OF_MEMORY = """\
Traceback (most recent call last):
  File "/bench/train.py", line 40, in <module>
    y = model(x)
  File "/venv/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1751, in _wrapped_call_impl
    return self._call_impl(*args, **kwargs)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
[W1128 10:00:00.0 ProcessGroupNCCL.cpp:1476] Warning: destroy_process_group() was not called before program exit
"""
UV = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because nope was not found in the package registry, your requirements are unsatisfiable.
"""
CPP = """\
terminate called after throwing an instance of 'std::runtime_error'
  what():  bad shape 3
bash: line 1: 13529 Aborted                 ./d
"""


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (NODE, "Error: Cannot find module 'adder' (bench.js:1)"),
        (NODE_SYNTAX, "SyntaxError: Unexpected token ';' (b.js:1)"),
        (
            NODE_ASSERT,
            "AssertionError [ERR_ASSERTION]: Expected values to be strictly equal: 1 !== 2 (b.js:4)",
        ),
        (NODE_THREW_TEXT, "plain (b.js:1)"),
        (
            'npm error Missing script: "nope"\nnpm error\nnpm error To see a list, run:\nnpm error   npm run\n',
            'npm error Missing script: "nope"',
        ),
        (GCC, "'x' undeclared (first use in this function) (b.c:1)"),
        (LD, "undefined reference to `foo'"),
        ("make: *** No rule to make target 'nope'.  Stop.\n", "make: *** No rule to make target 'nope'. Stop."),
        (CPP, "std::runtime_error: bad shape 3"),
        ("b.c:2: Assertion `1==2' failed.\nbash: line 1: 13 Aborted   ./b\n", "b.c:2: Assertion `1==2' failed."),
        ("bash: line 1: 13513 Segmentation fault      ./b\n", "bash: line 1: 13513 Segmentation fault ./b"),
        (CARGO, "error[E0425]: cannot find value `y` in this scope (src/main.rs:1)"),
        (PANIC, "panicked: index out of bounds: the len is 1 but the index is 5 (src/main.rs:1)"),
        (CARGO_TEST, "panicked: assertion `left == right` failed left: 1 right: 2 (src/main.rs:2)"),
        (GO_PANIC, "panic: runtime error: index out of range [5] with length 3 (main.go:9)"),
        (GO_TEST, "TestAdd: got 1, want 2 (add_test.go:7)"),
        (GO_BUILD, "undefined: foo (main.go:5)"),
        (PYTEST, "FAILED test_a.py::test_a - AssertionError: wrong sum"),
        (PYTEST_IMPORT, "ERROR test_b.py - ModuleNotFoundError: No module named 'nope'"),
        (
            CHAIN,
            "RuntimeError: cannot load data, from FileNotFoundError: [Errno 2] No such file or directory: "
            "'nope.bin' (ch.py:6)",
        ),
        (CALLED, "ValueError: inner bad (x.py:1)"),
        (TORCHRUN, "ValueError: bad (train.py:4)"),
        (GROUP, "ExceptionGroup: two (2 sub-exceptions) (eg.py:1)"),
        (
            OUT_OF_MEMORY,
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. (train.py:40)",
        ),
        (
            'Exception in thread "main" java.lang.IllegalStateException: no data\n\tat Bench.main(Bench.java:3)\n',
            'Exception in thread "main" java.lang.IllegalStateException: no data (Bench.java:3)',
        ),
        (UV, "× No solution found when resolving dependencies: Because nope was not found in the package registry, "
             "your requirements are unsatisfiable."),
        ("s.sh: line 3: foo: command not found\n", "s.sh: line 3: foo: command not found"),
        ("cat: a.txt: No such file or directory\n" + "step\n" * 9 + "accuracy too low\n", "accuracy too low"),
        ("step 1\nerror: 0.25\nno result written\n", "no result written"),
    ],
)  # fmt: skip
def test_the_line_is_found_in_what_real_tools_print(output: str, reason: str) -> None:
    assert failure_reason(output) == reason
