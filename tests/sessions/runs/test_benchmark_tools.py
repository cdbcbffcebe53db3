"""What the usual benchmark tools print and write, as they do, read as the time of one operation."""

from __future__ import annotations

import json

import pytest

from sessions.runs.benchmark_tools import BenchmarkReader
from sessions.runs.metric_formats import MetricFormat
from sessions.runs.printed_metric import MetricReader, Reading
from supervisor.recognition.printed import choose_printed, read_output

GO = """\
goos: linux
goarch: amd64
pkg: example.com/parse
cpu: AMD EPYC 7B13
BenchmarkParse-8              \t    1203\t    984231 ns/op\t    5120 B/op\t      12 allocs/op
BenchmarkParse-8              \t    1210\t    984239 ns/op\t    5120 B/op\t      12 allocs/op
BenchmarkPrint/size=10-8      \t 5000000\t       246.0 ns/op\t  83.10 MB/s
PASS
ok  \texample.com/parse\t2.105s
"""
CRITERION = """\
Benchmarking fib 20
Benchmarking fib 20: Collecting 100 samples in estimated 5.1 s (193k iterations)
fib 20                  time:   [26.029 µs 26.251 µs 26.505 µs]
                        change: [-38.292% -37.342% -36.524%] (p = 0.00 < 0.05)
                        Performance has improved.
Found 8 outliers among 100 measurements (8.00%)
  8 (8.00%) high severe

a_group_with_a_long_name/of its own
                        time:   [1.2013 ms 1.2101 ms 1.2201 ms]
                        thrpt:  [1.2802 GiB/s 1.2913 GiB/s 1.3007 GiB/s]
                 change:
                        time:   [-1.2% +0.1% +1.0%] (p = 0.90 > 0.05)
"""
HYPERFINE = """\
Benchmark 1: ./prog --fast
  Time (mean ± σ):     104.5 ms ±   3.1 ms    [User: 90.0 ms, System: 10.0 ms]
  Range (min … max):   101.2 ms … 110.0 ms    28 runs
"""
PYTEST = """\
...                                                                      [100%]

-------------------------------------------- benchmark: 2 tests --------------------------------------------
Name (time in us)          Min                   Max                Mean             StdDev              \
Median               IQR            Outliers  OPS (Kops/s)            Rounds  Iterations
------------------------------------------------------------------------------------------------------------
test_small              1.2000 (1.0)         15.1000 (1.0)       1.3000 (1.0)      0.2000 (1.0)      \
1.2500 (1.0)      0.0500 (1.0)      120;340      769.2308 (1.0)       50000           1
test_large[a b]     1,234.5000 (>1000.0)  1,500.0000 (99.34)  1,250.0000 (961.5)  10.5000 (52.50)  \
1,240.0000 (992.0)  12.2500 (245.0)      20;4        0.8000 (0.00)         720           1
------------------------------------------------------------------------------------------------------------

Legend:
  Outliers: 1 Standard Deviation from Mean; 1.5 IQR (InterQuartile Range) from 1st Quartile and 3rd Quartile.
"""
GOOGLE = """\
2026-11-28T10:00:00+00:00
Running ./bench
Run on (8 X 2450 MHz CPU s)
-------------------------------------------------------------------
Benchmark                         Time             CPU   Iterations
-------------------------------------------------------------------
BM_Set/1024                    8312 ns         8290 ns        84000
BM_Set/1024                    8314 ns         8290 ns        84000
BM_Set/1024_mean               8313 ns         8290 ns            2
BM_Set/1024_stddev             1.41 ns         0.00 ns            2
BM_Fill/real_time              1.50 ms         1.49 ms          466 bytes_per_second=2.6G/s
"""
PYTEST_JSON = {
    "machine_info": {"cpu": {"count": 8}},
    "benchmarks": [
        {
            "name": "test_small",
            "fullname": "t.py::test_small",
            "stats": {"min": 1e-6, "mean": 2e-6, "median": 1.5e-6},
        }
    ],
    "version": "5.1.0",
}
GOOGLE_JSON = {
    "context": {"num_cpus": 8},
    "benchmarks": [
        {"name": "BM_Set/8", "run_type": "iteration", "real_time": 8.3, "cpu_time": 8.2, "time_unit": "us"},
        {"name": "BM_Set/8_stddev", "run_type": "aggregate", "real_time": 9e9, "cpu_time": 8.2, "time_unit": "us"},
    ],
}  # fmt: skip
HYPERFINE_JSON = {
    "results": [{"command": "./prog", "mean": 0.1045, "stddev": 0.003, "median": 0.104, "times": [0.1]}]
}


def read(output: str, name: str, *also: str) -> Reading:
    reader = MetricReader(name, also)
    for at in range(0, len(output), 100):
        reader.take(output.encode()[at : at + 100])
    reader.take(output.encode()[at + 100 :])
    return reader.reading()


@pytest.mark.parametrize(
    ("output", "name", "value", "tool"),
    [
        (GO, "BenchmarkParse", 984235.0, MetricFormat.PER_OPERATION),
        (GO, "BenchmarkPrint/size=10", 246.0, MetricFormat.PER_OPERATION),
        (GO, "BenchmarkParse:allocs/op", 12.0, MetricFormat.PER_OPERATION),
        (GO, "geomean", (984235.0 * 246.0) ** 0.5, MetricFormat.PER_OPERATION),
        ("set    5000000 ops in 0.708 secs, 142 ns/op, 7057960 op/sec\n", "set", 142.0, MetricFormat.PER_OPERATION),
        ("test sort_it ... bench:      12,345.50 ns/iter (+/- 56)\n", "sort_it", 12345.5, MetricFormat.PER_OPERATION),
        (CRITERION, "fib 20", 26251.0, MetricFormat.CRITERION),
        (CRITERION, "a_group_with_a_long_name/of its own", 1210100.0, MetricFormat.CRITERION),
        (HYPERFINE, "mean", 0.1045, MetricFormat.HYPERFINE),
        (HYPERFINE, "./prog --fast:max", 0.11, MetricFormat.HYPERFINE),
        (PYTEST, "test_small", 1.25e-6, MetricFormat.PYTEST),
        (PYTEST, "test_large[a b]:mean", 1.25e-3, MetricFormat.PYTEST),
        (GOOGLE, "BM_Set/1024", 8313.0, MetricFormat.GOOGLE),
        (GOOGLE, "BM_Fill/real_time", 1.5e6, MetricFormat.GOOGLE),
        (json.dumps(PYTEST_JSON, indent=1), "test_small", 1.5e-6, MetricFormat.PYTEST),
        (json.dumps(GOOGLE_JSON), "BM_Set/8", 8300.0, MetricFormat.GOOGLE),
        (json.dumps(HYPERFINE_JSON), "mean", 0.1045, MetricFormat.HYPERFINE),
    ],
)  # fmt: skip
def test_each_tool_is_read_in_one_unit(output: str, name: str, value: float, tool: MetricFormat) -> None:
    reading = read(output, name)
    assert reading.value == pytest.approx(value, rel=1e-9) and reading.dialect is tool
    assert MetricFormat(tool.value) is tool


def test_how_many_there_are_is_a_figure_and_others_go_beside() -> None:
    reading = read(GO, "geomean", "benchmarks", "BenchmarkParse:B/op")
    assert reading.also == {"benchmarks": 2.0, "BenchmarkParse:B/op": 5120.0}
    # One of two is no name of a statistic, and nothing is read that nobody printed.
    assert read(GO, "ns/op").value is None
    assert read("BenchmarkX-8  3  FAIL\nset 3 4 5\n", "BenchmarkX").value is None


@pytest.mark.parametrize(
    ("output", "name", "sure"),
    [
        (HYPERFINE, "./prog --fast", True),
        (json.dumps(GOOGLE_JSON), "BM_Set/8", True),
        (CRITERION, "geomean", False),
        (PYTEST, "geomean", False),
        ("warm: 3\n" + GO, "geomean", False),
        ("BenchmarkOne-4  100  20.5 ns/op\nloss: 3\n", "BenchmarkOne", True),
    ],
)
def test_one_benchmark_is_the_metric_and_of_several_their_mean_is_offered(
    output: str, name: str, sure: bool
) -> None:
    chosen = choose_printed(read_output(output))
    assert chosen is not None and (chosen[0].name, chosen[1]) == (name, sure)
    assert read(output, name).value is not None


def test_a_report_in_a_file_is_read_like_a_printed_one() -> None:
    reader = MetricReader("test_small", ("accuracy",))
    reader.take(b"1 passed in 3.00s\n")
    reader.take_file(json.dumps(PYTEST_JSON | {"data": [0.1] * 20000}, indent=1))
    assert reader.reading().value == 1.5e-6
    lines = MetricReader("accuracy")
    lines.take_file('{"step": 1, "accuracy": 0.5}\n{"step": 2, "accuracy": 0.75, "note": "fine"}\n')
    assert lines.reading().value == 0.75


JAVASCRIPT = """ ✓ bench/slug.bench.js (2) 1235ms
     name              hz     min     max    mean     p75     p99    p995    p999     rme  samples
   · short  4,000,000.00  0.0002  0.3450  0.0003  0.0003  0.0005  0.0006  0.0014  ±0.61%  1780213   fastest
   · long one  10,000.00  0.0049  0.2130  0.0054  0.0053  0.0093  0.0108  0.0230  ±0.37%    93214
 BENCH  Summary
parse x 2,500,000 ops/sec ±0.54% (94 runs sampled)
Fastest is parse
"""


def test_rates_of_javascript_are_times_of_an_operation() -> None:
    reader = BenchmarkReader()
    figures = [figure for line in JAVASCRIPT.splitlines() for figure in reader.read(line)]
    assert {one.label: one.value for one in figures} == {"short": 250.0, "long one": 1e5, "parse": 400.0}
