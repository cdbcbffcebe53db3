"""Recognising foreign labs: what is found in each kind, where it was seen, and what is left to ask."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.runs.metric_formats import MetricFormat
from sessions.runs.printed_metric import MetricReader
from supervisor.init.lab_toml import lab_toml, toml_string
from supervisor.lab.config import read_config
from supervisor.model.directions import direction_of
from supervisor.model.states import Clock, Direction
from supervisor.recognition.finding import Fact, Finding, Kind
from supervisor.recognition.printed import PrintedValue, read_output
from supervisor.recognition.recognise import recognise
from supervisor.recognition.tree import Tree
from tests.worlds import foreign

LOWER, HIGHER = Direction.LOWER, Direction.HIGHER


def look_at(files: Mapping[str, str]) -> Finding | None:
    return recognise(Tree(Path("/nowhere"), files, lambda path: files[path].encode()))


def found_in(files: Mapping[str, str]) -> Finding:
    finding = look_at(files)
    assert finding is not None
    return finding


def place(finding: Finding, fact: Fact) -> str:
    evidence = finding.evidence_for(fact)
    assert evidence is not None
    return evidence.where


@pytest.mark.parametrize(
    ("name", "kind", "editable", "command", "metric", "direction", "checks"),
    [
        ("karpathy", Kind.UPSTREAM, "train.py", "uv run train.py", "val_bpb", LOWER, ""),
        ("macos", Kind.MACOS, "train.py", "uv run train.py", "val_bpb", LOWER, ""),
        ("mlx", Kind.MLX, "train.py", "uv run train.py", "val_bpb", LOWER, ""),
        ("win-rtx", Kind.WIN_RTX, "train.py", "uv run train.py", "val_bpb", LOWER, ""),
        (
            "auto",
            Kind.AUTO,
            "src/sorting.py",
            "bash .auto/measure.sh",
            "comparisons",
            LOWER,
            "bash .auto/checks.sh",
        ),
        ("tutorial", Kind.TUTORIAL, "train.py", "{python} train.py", "mse", LOWER, ""),
        ("tutorial-evaluated", Kind.TUTORIAL, "model.py", "{python} evaluate.py", "mse", LOWER, ""),
        ("evaluate.py", Kind.PAIR, "solution.py", "{python} evaluate.py", "score", HIGHER, ""),
        ("bench.py", Kind.PAIR, "solution.py", "{python} bench.py", "latency_ms", LOWER, ""),
        ("benchmark.sh", Kind.PAIR, "solution.py", "sh benchmark.sh", "latency_ms", LOWER, ""),
        ("c", Kind.COMPILED, "src/transpose.c", "make -s bench", "cache_misses", LOWER, "make -s test"),
    ],
)
def test_each_kind_is_known_with_all_that_a_lab_needs(
    tmp_path: Path,
    name: str,
    kind: Kind,
    editable: str,
    command: str,
    metric: str,
    direction: Direction,
    checks: str,
) -> None:
    finding = found_in(foreign.KINDS[name]())
    assert (finding.kind, finding.missing) == (kind, ())
    assert (finding.editable, finding.command) == ((editable,), command)
    assert (finding.metric, finding.direction, finding.checks) == (metric, direction, checks)
    (tmp_path / "autoresearch.toml").write_text(lab_toml(finding))
    config = read_config(tmp_path / "autoresearch.toml")
    assert (config.lab.editable, config.lab.command, config.lab.setup) == (
        (editable,),
        command,
        finding.setup,
    )
    assert (config.metric.name, config.metric.direction) == (metric, direction)
    assert (config.checks.command, config.lab.timeout_s) == (checks, finding.timeout_s)


def test_upstream_is_read_from_its_own_files() -> None:
    finding = found_in(foreign.karpathy_files(budget_s=120))
    assert (finding.budget_s, finding.timeout_s, finding.clock) == (120.0, 600.0, Clock.WALL)
    assert (finding.setup, finding.caches) == ("uv run prepare.py", ("~/.cache/autoresearch",))
    assert finding.protected == ("prepare.py",)
    assert place(finding, Fact.BUDGET_S) == "prepare.py:7"
    assert place(finding, Fact.METRIC).startswith("program.md:")


def test_a_fork_with_a_metric_of_its_own_keeps_it() -> None:
    files = foreign.karpathy_files()
    program = files["program.md"].replace("val_bpb", "sharpe").replace("lowest", "highest")
    finding = found_in(files | {"program.md": program})
    assert (finding.metric, finding.direction) == ("sharpe", HIGHER)
    plain = files["train.py"].replace("val_bpb:  ", "top1_acc: ")
    finding = found_in(files | {"program.md": "", "train.py": plain})
    assert (finding.metric, finding.direction) == ("top1_acc", HIGHER)


def test_forks_of_upstream_differ_in_caches_and_cautions() -> None:
    windows = found_in(foreign.karpathy_files(foreign.Fork.WIN_RTX))
    assert windows.env == ("AUTORESEARCH_CACHE_DIR", "AUTORESEARCH_DATASET")
    for fork in (foreign.Fork.MLX, foreign.Fork.MACOS):
        assert "needs a Mac" in " ".join(found_in(foreign.karpathy_files(fork)).cautions)
    kernels = foreign.karpathy_files()
    kernels["train.py"] = "from kernels import get_kernel\n" + kernels["train.py"]
    assert "~/.cache/huggingface" in found_in(kernels).caches


def test_a_fork_for_any_machine_is_not_taken_for_the_macs() -> None:
    files = foreign.karpathy_files(foreign.Fork.MACOS)
    both = {"train.py": files["train.py"] + 'device = "cuda" if torch.cuda.is_available() else "mps"\n'}
    assert found_in(files | both).kind is Kind.UPSTREAM
    only = {"prepare.py": 'if sys.platform != "darwin":\n    raise RuntimeError\n' + files["prepare.py"]}
    assert found_in(files | both | only).kind is Kind.MACOS


def test_a_session_is_read_from_its_log_then_its_prompt_then_its_script() -> None:
    files = foreign.auto_files()
    finding = found_in(files)
    assert (finding.experiments, finding.timeout_s) == (50, 600.0)
    assert place(finding, Fact.METRIC) == ".auto/log.jsonl:1"
    turned = (
        files[".auto/log.jsonl"] + '{"type":"config","metricName":"elapsed_ms","bestDirection":"higher"}\n'
    )
    finding = found_in(files | {".auto/log.jsonl": turned})
    assert (finding.metric, finding.direction) == ("elapsed_ms", HIGHER), (
        "the last header counts, as it stands"
    )
    del files[".auto/log.jsonl"]
    assert place(found_in(files), Fact.METRIC) == ".auto/prompt.md:7"
    del files[".auto/prompt.md"]
    finding = found_in(files)
    assert finding.metric == "comparisons", "by the script that the script runs"
    assert finding.missing == (Fact.EDITABLE,), "nothing tells what is in scope"


def test_a_primary_metric_may_be_told_over_two_lines() -> None:
    files = foreign.auto_files()
    del files[".auto/log.jsonl"]
    prompt = "## Metrics\n- **Primary**: `rate_m` (millions of steps in each second,\n  higher is better).\n- more\n"
    finding = found_in(files | {".auto/prompt.md": prompt})
    assert (finding.metric, finding.direction, finding.guesses) == ("rate_m", HIGHER, frozenset())


def test_the_flat_files_of_older_sessions_are_known() -> None:
    names = {".auto/measure.sh": "autoresearch.sh", ".auto/prompt.md": "autoresearch.md"}
    names |= {".auto/checks.sh": "autoresearch.checks.sh", ".auto/log.jsonl": "autoresearch.jsonl"}
    finding = found_in({names.get(path, path): text for path, text in foreign.auto_files().items()})
    assert (finding.kind, finding.command) == (Kind.AUTO, "bash autoresearch.sh")
    assert finding.checks == "bash autoresearch.checks.sh"


def test_folders_and_globs_in_scope_become_files_and_globs() -> None:
    prompt = "## Files in Scope\n- `src/*.py`: all of it\n- `lib/` too\n- **`one.c`** — the rest\n"
    files = foreign.auto_files() | {".auto/prompt.md": prompt, "lib/a.c": "", "lib/b.c": "", "one.c": ""}
    finding = found_in(files)
    assert finding.editable == ("src/sorting.py", "lib/a.c", "lib/b.c", "one.c")
    assert finding.new_files == ("src/*.py", "lib/*")


def test_what_the_person_must_decide_is_a_guess_or_missing() -> None:
    unsure = found_in({"train.py": "print(f'quux: {1}')"})
    assert (unsure.direction, unsure.guesses) == (LOWER, {Fact.DIRECTION})
    two = {"bench.py": "import left, right\nprint(f'ms: {1}')", "left.py": "", "right.py": ""}
    assert Fact.EDITABLE in found_in(two).guesses
    assert found_in({"train.py": "print('done')"}).missing == (Fact.METRIC, Fact.DIRECTION)
    assert look_at({"README.md": "# nothing", "paper.tex": ""}) is None


def test_what_measures_on_behalf_of_the_evaluator_is_no_solution() -> None:
    chain = {
        "benchmark.sh": "python3 bench_all.py",
        "bench_all.py": "import zip\nprint(f'ms: {1}')",
        "zip.py": "",
    }
    finding = found_in(chain)
    assert (finding.editable, finding.guesses) == (("zip.py",), {Fact.METRIC})
    assert finding.protected == ("benchmark.sh", "bench_all.py")


def test_what_is_said_of_single_cases_is_no_metric() -> None:
    lines = """import json
from agent import answer
for case in cases: print(json.dumps({"id": case.id, "ok": case.right, "cost": 0.01}))
print(json.dumps({"accuracy": right / len(cases)}))
"""
    finding = found_in({"eval.py": lines, "agent.py": ""})
    assert (finding.metric, finding.direction, finding.gates) == ("accuracy", HIGHER, ())


def test_a_document_outranks_the_name() -> None:
    said = {"train.py": "print(f'loss: {1}')", "program.md": "Get the highest loss you can.\n"}
    assert found_in(said).direction is HIGHER


def test_builds_without_a_printed_metric_are_timed() -> None:
    make = {"Makefile": "all:\n\tcc x.c\nbench:\n\t./a.out\n", "src/x.c": "int main(void) { return 0; }"}
    finding = found_in(make)
    assert finding.command == "bash -c 'make -s all && TIMEFORMAT=\"seconds: %R\" && time make -s bench'"
    assert (finding.metric, finding.direction) == ("seconds", LOWER)
    assert tomllib.loads(lab_toml(finding))["lab"]["command"] == finding.command


@pytest.mark.parametrize(
    ("files", "built", "timed"),
    [
        ({"CMakeLists.txt": "add_executable(my_bench b.cc)", "src/a.cc": "", "b.cc": ""},
         "cmake --build build-lab --target my_bench", "build-lab/my_bench"),
        ({"CMakeLists.txt": "add_custom_target(bench COMMAND a)", "src/a.cc": ""},
         "cmake --build build-lab", "cmake --build build-lab --target bench"),
        ({"Makefile": "bench: solve data.bin\n\t./solve\nsolve:\n", "src/a.c": ""},
         "make -s solve data.bin", "make -s bench"),
    ],
)  # fmt: skip
def test_what_is_timed_is_the_measuring_without_the_build(
    files: dict[str, str], built: str, timed: str
) -> None:
    command = shlex.split(found_in(files).command)
    assert command[:2] == ["bash", "-c"] and len(command) == 3
    before, _, measured = command[2].partition(" && TIMEFORMAT=")
    assert before.endswith(built) and measured == f'"seconds: %R" && time {timed}'


def test_a_build_that_cannot_be_told_apart_is_said_to_be_timed() -> None:
    finding = found_in({"Makefile": "bench:\n\tcc a.c && ./a.out\n", "src/a.c": ""})
    assert any("is timed as well" in caution for caution in finding.cautions)


def test_a_go_benchmark_measures_the_package_that_it_is_in() -> None:
    bench = "func BenchmarkA(b *testing.B) {}\n"
    go = {"go.mod": "", "trie.go": "", "trie_test.go": bench, "internal/walk/walk.go": "", "cmd/x/x.go": ""}
    assert found_in(go).editable == ("trie.go",)
    assert Fact.EDITABLE in found_in(go).guesses  # the benchmark may call the others
    assert found_in(go | {"internal/walk/walk_test.go": bench}).editable == (
        "internal/walk/walk.go",
        "trie.go",
    )


@pytest.mark.parametrize(
    ("files", "command", "checks"),
    [
        ({"Cargo.toml": "", "src/lib.rs": "", "src/bin/bench.rs": 'println!("ns_per_op: {}", 1);'},
         "cargo run --offline --quiet --release --bin bench", "cargo test --offline --quiet"),
        ({"go.mod": "", "sort.go": "", "cmd/bench/main.go": 'fmt.Printf("ops_per_s: %d\\n", 1)'},
         "go run ./cmd/bench", "go test ./..."),
        ({"CMakeLists.txt": "add_executable(my_bench bench.cc)", "a.cc": "", "bench.cc": 'printf("ms: %g", 1.0);'},
         "sh -c 'cmake -S . -B build-lab -DCMAKE_BUILD_TYPE=Release && "
         "cmake --build build-lab --target my_bench && build-lab/my_bench'", ""),
        ({"package.json": '{"scripts": {"bench": "node bench.js", "test": "node t.js"}}', "src/index.js": "",
          "bench.js": "console.log(`latency_ms: ${1}`)"}, "npm run --silent bench", "npm test --silent"),
    ],
)  # fmt: skip
def test_build_systems(files: dict[str, str], command: str, checks: str) -> None:
    finding = found_in(files)
    assert (finding.kind, finding.command, finding.checks) == (Kind.COMPILED, command, checks)
    assert finding.missing == ()
    assert not any("bench" in path for path in finding.editable)


def test_seeds_and_variables_are_passed_and_keys_are_not() -> None:
    script = (
        "import os\nseed = int(os.environ.get('TRAIN_SEED', 0))\nos.getenv('DATA_ROOT')\n"
        "os.environ['OMP_NUM_THREADS'] = '1'\nos.environ['WANDB_API_KEY']\nprint(f'loss: {1}')\n"
    )
    finding = found_in({"train.py": script})
    assert (finding.seed_env, finding.env) == ("TRAIN_SEED", ("DATA_ROOT",))
    assert any("train.py:5 reads WANDB_API_KEY" in caution for caution in finding.cautions)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        *(
            (name, LOWER)
            for name in "val_loss val_bpb test_mse latencyMs p99_ms run_time_s peak_bytes ns/op".split()
        ),
        *((name, LOWER) for name in "ms_per_step seconds_per_iter word_error_rate wer s_per_token".split()),
        *(
            (name, HIGHER)
            for name in "val_acc f1 score mean_reward throughput tokens_per_s ops/s tok/sec".split()
        ),
        *((name, HIGHER) for name in "req_per_sec winRate eval_accuracy".split()),
    ],
)
def test_names_tell_their_direction(name: str, direction: Direction) -> None:
    told = direction_of(name)
    assert (told.direction, told.sure) == (direction, True)


@pytest.mark.parametrize("name", ["x", "value", "accuracy_loss", "steps_score"])
def test_names_that_tell_nothing_say_so(name: str) -> None:
    assert not direction_of(name).sure


def test_what_a_run_printed() -> None:
    assert read_output("METRIC a=1\nMETRIC a=2\nMETRIC b=3e-2\n").values == (
        PrintedValue("a", MetricFormat.METRIC, 2.0),
        PrintedValue("b", MetricFormat.METRIC, 0.03),
    )
    assert read_output("loss: 9\rloss: 4\n---\nval_bpb:   0.99\n").values[0].name == "val_bpb"
    assert read_output('{"pass": true, "score": 0.5}').values == (
        PrintedValue("score", MetricFormat.JSON, 0.5),
    )
    report = 'done\n{\n  "score": 2,\n  "parts": {"a": 1}\n}\n'
    assert read_output(report).values == (
        PrintedValue("score", MetricFormat.JSON, 2.0),
        PrintedValue("parts.a", MetricFormat.JSON, 1.0),
    )
    assert read_output("\x1b[32mloss: 1.5\x1b[0m\n").values[0].value == 1.5
    assert read_output("working\n 12.5\n").values == (PrintedValue("", MetricFormat.NUMBER, 12.5),)
    assert read_output("loss: nan\nmse: inf\nms: 1e999\n" + "x" * 5000 + ": 1\n").values == ()
    assert read_output('{"score": NaN, "loss": Infinity}').values == ()


@pytest.mark.parametrize(
    "output",
    [
        "METRIC score=2\n", "METRIC:score=3\nscore: 9\n", "EVAL_RESULT: score=4\n", "score: 1\nscore: 5e-1\n",
        '{"score": 6}\n', '{\n"score": 7\n}', "words\n8.5\n", "---\nscore:   0.99\n", "METRIC score = 1\n",
    ],
)  # fmt: skip
def test_what_is_offered_is_what_the_lab_will_read(output: str) -> None:
    reader = MetricReader("score")
    reader.take(output.encode())
    assert read_output(output).values[0].value == reader.reading().value


@given(st.text(), st.text())
def test_any_text_of_a_repository_stays_text_in_the_toml(path: str, why: str) -> None:
    assert tomllib.loads(f"a = {toml_string(path)}")["a"] == path
    finding = Finding(Kind.ASKED, 1.0, editable=("a.py",), metric="m", direction=LOWER)
    finding = finding.with_fact(Fact.COMMAND, "true", path, why)
    assert tomllib.loads(lab_toml(finding))["lab"]["command"] == "true"


@given(st.dictionaries(st.sampled_from([*foreign.auto_files(), "train.py", "bench.py", "Makefile", "package.json"]),
                       st.text()))  # fmt: skip
def test_no_text_breaks_a_recogniser(files: dict[str, str]) -> None:
    look_at(files)


def test_links_out_of_the_repository_are_not_followed(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "secret.py").write_text("print('loss:', 1)")
    root = make_repository({"README.md": ""})
    (root / "train.py").symlink_to(tmp_path / "secret.py")
    assert Tree(root, ["train.py"]).text("train.py") == ""
