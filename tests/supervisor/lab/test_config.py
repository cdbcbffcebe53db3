"""autoresearch.toml: what it says, what it is silent about, and one line for what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.runs.contract import Gate
from sessions.runs.metric_formats import MetricFormat
from supervisor.errors import ConfigError
from supervisor.lab.config import AgentSpec, Budget, LabConfig, default_config, karpathy_config, read_config
from supervisor.model.metrics import Secondary
from supervisor.model.states import Clock, Direction

EVERYTHING = """
[lab]
editable  = ["train.py", "model.py"]
command   = "{python} 'train it.py' --seed 1"
setup     = ""
smoke     = "{python} train.py --smoke"
python    = "env/bin/python"
seed_env  = "SEED"
caches    = ["~/.cache/things"]
env       = ["HF_HOME"]
budget_s  = 90
timeout_s = 300.5
clock     = "wall"
[metric]
name = "loss"
direction = "higher"
[[metric.also]]
name = "speed"
direction = "higher"
[[metric.also]]
name = "memory_mb"
[checks]
command = "ruff check ."
[agents]
juniors = 3
chief  = { backend = "anthropic", model = "some-model" }
junior = { backend = "claude" }
drafts_ahead = 0
approve = true
[limits]
experiments = 100
hours = 8
usd = 20
[decide]
false_keep_rate = 0.05
max_runs = 5
noise_floor = 0.001
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], LabConfig]:
    """Read this text as an autoresearch.toml."""

    def read_text(text: str) -> LabConfig:
        file = tmp_path / "autoresearch.toml"
        file.write_text(text, encoding="utf-8")
        return read_config(file)

    return read_text


def test_every_key_of_the_design_is_read(read: Callable[[str], LabConfig]) -> None:
    config = read(EVERYTHING)
    assert config.lab.editable == ("train.py", "model.py")
    assert config.lab.caches == ("~/.cache/things",)
    assert config.resolved("cpu") == Budget(90, Clock.WALL, 300.5)
    assert config.metric.direction is Direction.HIGHER
    assert [(also.name, also.direction) for also in config.metric.also] == [
        ("speed", "higher"),
        ("memory_mb", "lower"),
    ]
    assert config.checks.command == "ruff check ."
    assert (config.agents.juniors, config.agents.drafts_ahead, config.agents.approve) == (3, 0, True)
    assert (config.agents.chief.backend, config.agents.chief.model) == ("anthropic", "some-model")
    assert (config.limits.experiments, config.limits.hours, config.limits.usd) == (100, 8, 20)
    assert (config.decide.false_keep_rate, config.decide.max_runs, config.decide.noise_floor) == (
        0.05,
        5,
        0.001,
    )


def test_an_empty_file_is_our_default(read: Callable[[str], LabConfig]) -> None:
    assert read("") == default_config()
    assert default_config().lab.editable == ("training/train.py",)
    assert default_config().agents.chief.backend == "offline"


@pytest.mark.parametrize(
    ("device_kind", "text", "budget"),
    [
        ("cpu", "", Budget(20, Clock.CPU, 120)),
        ("NVIDIA H200", "", Budget(300, Clock.WALL, 600)),
        ("mps", "", Budget(300, Clock.WALL, 600)),
        ("cpu", "clock = 'auto'\nbudget_s = 30", Budget(30, Clock.CPU, 180)),
        ("cpu", "clock = 'wall'\nbudget_s = 100", Budget(100, Clock.WALL, 200)),
        ("cpu", "budget_s = 1", Budget(1, Clock.CPU, 120)),  # never too short to import torch
        ("cpu", "budget_s = 1\ntimeout_s = 3", Budget(1, Clock.CPU, 3)),
    ],
)
def test_budget_clock_and_timeout_follow_the_device(
    read: Callable[[str], LabConfig], device_kind: str, text: str, budget: Budget
) -> None:
    assert read(f"[lab]\n{text}").resolved(device_kind) == budget


def test_a_file_over_karpathys_layout_keeps_what_it_does_not_say(tmp_path: Path) -> None:
    file = tmp_path / "autoresearch.toml"
    file.write_text("[lab]\nbudget_s = 60\n[agents]\njuniors = 8\n", encoding="utf-8")
    config = read_config(file, karpathy_config())
    assert config.lab.editable == ("train.py",)
    assert config.lab.command == "uv run train.py"
    assert (config.lab.budget_s, config.agents.juniors) == (60, 8)
    assert config.resolved("cpu").clock is Clock.WALL


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# a lab\n[lab]\n\nbudget_s = -3", "autoresearch.toml:4: [lab] budget_s: must be > 0 (got -3)"),
        ("[lab]\nbudgets = 3", "autoresearch.toml:2: [lab] budgets: unknown key; did you mean budget_s?"),
        ("[lba]\nx = 1", "autoresearch.toml:1: [lba]: unknown key; did you mean lab?"),
        (
            "[decide]\nq = 1",
            "autoresearch.toml:2: [decide] q: unknown key; known: false_keep_rate, max_runs, noise_floor, "
            "drift_every, repeat_share",
        ),
        ("lab = 3", "autoresearch.toml:1: [lab]: must be a table (got 3)"),
        (
            "[agents]\njuniors = 2\nchief = { backend = 'x', modell = 'y' }",
            "autoresearch.toml:3: [agents.chief] modell: unknown key; did you mean model?",
        ),
        (
            "[[metric.also]]\nname = 'a'\n[[metric.also]]\n# the second\nname = ''",
            'autoresearch.toml:5: [metric.also] name: must not be empty (got "")',
        ),
        ("[[metric.also]]\ndirection = 'lower'", "autoresearch.toml:1: [metric.also] name: is missing"),
        (
            "[metric]\ndirection = 'up'",
            "autoresearch.toml:2: [metric] direction: must be 'lower' or 'higher' (got \"up\")",
        ),
        (
            "[limits]\nexperiments = 1.5",
            "autoresearch.toml:2: [limits] experiments: must be a whole number (got 1.5)",
        ),
        ("[lab]\nbudget_s = '300'", 'autoresearch.toml:2: [lab] budget_s: must be a number (got "300")'),
        (
            "[lab]\nbudget_s = inf",
            "autoresearch.toml:2: [lab] budget_s: must be a finite number (got Infinity)",
        ),
        (
            "[lab]\neditable = 'x'",
            'autoresearch.toml:2: [lab] editable: must be a list in [brackets] (got "x")',
        ),
        ("[lab]\neditable = []", "autoresearch.toml:2: [lab] editable: must not be empty"),
        (
            "[lab]\ncaches = [\n 'a',\n 1]",
            'autoresearch.toml:2: [lab] caches, item 2: must be text in "quotes" (got 1)',
        ),
        (
            "[lab]\neditable = ['../x']",
            "autoresearch.toml:2: [lab] editable: must be relative to the lab and stay inside it (got '../x')",
        ),
        (
            "[lab]\ncommand = '{pyhton} train.py'",
            "autoresearch.toml:2: [lab] command: knows {python} only (got {pyhton})",
        ),
        (
            '[lab]\ncommand = "python \'x"',
            'autoresearch.toml:2: [lab] command: no closing quotation in "python \'x"',
        ),
        ("[lab]\nclock = 'gpu'", "autoresearch.toml:2: [lab] clock: must be 'cpu' or 'wall' (got \"gpu\")"),
        ("[lab]\nbudget_s =", "autoresearch.toml:2: invalid value"),
        ("[lab]\nbudget_s = 1\nbudget_s = 2", "autoresearch.toml:3: cannot overwrite a value"),
        ("[lab]\na = 1\nbudget_s = 0", "autoresearch.toml:2: [lab] a: unknown key"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_place(
    read: Callable[[str], LabConfig], text: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    said = str(caught.value)
    assert said.startswith(words)
    assert "\n" not in said


def test_further_mistakes_are_counted(read: Callable[[str], LabConfig]) -> None:
    with pytest.raises(ConfigError, match=r"budget_s.*\(and 2 more\)$"):
        read("[lab]\nbudget_s = 0\n[agents]\njuniors = 0\n[limits]\nusd = -1")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"autoresearch.toml: No such file"):
        read_config(tmp_path / "autoresearch.toml")
    (tmp_path / "autoresearch.toml").write_bytes(b"[lab]\npython = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8 text at byte 16"):
        read_config(tmp_path / "autoresearch.toml")


def test_juniors_share_a_list_of_minds_in_turn(read: Callable[[str], LabConfig]) -> None:
    agents = read('[agents]\njunior = [{ backend = "claude", model = "m" }, { backend = "codex" }]\n').agents
    assert [agents.spec_of_junior(n).backend for n in (1, 2, 3)] == ["claude", "codex", "claude"]
    assert agents.spec_of_junior(3).model == "m"
    assert read('[agents]\njunior = { backend = "pi" }\n').agents.spec_of_junior(7).backend == "pi"
    assert AgentSpec.of_words("claude:opus") == AgentSpec(backend="claude", model="opus")


def test_juniors_may_be_interactive_and_the_chief_may_not(tmp_path: Path) -> None:
    file = tmp_path / "autoresearch.toml"
    file.write_text('[agents]\njunior = { backend = "claude", mode = "interactive" }\n')
    assert read_config(file).agents.spec_of_junior(1).mode == "interactive"
    file.write_text('[agents]\nchief = { backend = "claude", mode = "interactive" }\n')
    with pytest.raises(ConfigError, match=r"autoresearch.toml:2: .*only juniors can be interactive"):
        read_config(file)
    file.write_text('[agents]\njunior = { mode = "chatty" }\n')
    with pytest.raises(ConfigError, match=r"mode.*headless.*interactive"):
        read_config(file)


def test_a_mind_says_whose_login_it_uses(read: Callable[[str], LabConfig]) -> None:
    text = '[agents]\nfolder = "minds"\nchief = { backend = "claude" }\n'
    agents = read(
        text + 'junior = [{ backend = "claude", auth = "own" }, { backend = "command", command = "x y" }]\n'
    ).agents
    assert (
        agents.spec_like("claude", chief=True).auth == ""
        and agents.spec_like("claude", chief=False).auth == "own"
    )
    assert agents.spec_like("command", chief=False).command == "x y" and agents.folder == "minds"
    assert agents.spec_like("pi", chief=True) == AgentSpec(backend="pi")
    with pytest.raises(ConfigError, match=r"auth: Input should be"):
        read('[agents]\nchief = { backend = "claude", auth = "copy" }\n')


def test_the_format_of_a_printed_metric_is_one_of_the_dialects(read: Callable[[str], LabConfig]) -> None:
    assert read("").metric.format is MetricFormat.AUTO
    assert read('[metric]\nformat = "eval-result"').metric.format is MetricFormat.EVAL_RESULT
    with pytest.raises(ConfigError, match=r"autoresearch.toml:2: \[metric\] format: must be"):
        read('[metric]\nformat = "xml"')


def test_gates_and_limits_say_what_a_runs_fields_must(read: Callable[[str], LabConfig]) -> None:
    metric = read(
        "[metric]\nname = 'accuracy'\n"
        "[[metric.gate]]\nname = 'correctness'\nequals = 'PASS'\n"
        "[[metric.gate]]\nname = 'ok'\nequals = true\n"
        "[[metric.gate]]\nname = 'n'\nequals = 3\n"
        "[[metric.gate]]\nname = 'recall'\nworse_pct = 5\n"
        "[[metric.also]]\nname = 'heap'\nmax = 12.5\nunit = 'MB'\n"
        "[[metric.also]]\nname = 'depth'\n"
    ).metric
    assert metric.direction is Direction.HIGHER  # by its name
    assert metric.gates == (
        Gate("correctness", "PASS"), Gate("ok", "true"), Gate("n", "3"), Gate("recall"), Gate("heap", None, None, 12.5),
    )  # fmt: skip
    assert metric.secondary == (
        Secondary("heap", Direction.LOWER, "MB"), Secondary("depth"), Secondary("recall", Direction.HIGHER, "", 5.0),
    )  # fmt: skip
