"""Agents as data: what a file may say, what is said about a wrong one, and a new agent out of the documentation."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from roles.backend import BackendContext, BackendError, EditResult
from roles.backends.clients.catalogue_files import agent_files, read_agent
from roles.backends.clients.client import ClientBackend
from roles.backends.clients.client_setup import Auth, ClientSetup
from roles.backends.clients.interactive import InteractiveClient, interactive_spec
from roles.backends.clients.limits import ends_at, is_limit
from roles.backends.clients.selectors import SelectorError, parse_selector
from roles.backends.clients.spec import argv_of
from roles.backends.registry import expect_backends, known_backends, make_backend
from roles.workbench.client_hooks import EVENTS
from roles.workbench.mcp_server import LONGEST_WAIT_S
from supervisor.errors import ConfigError, LabError
from tests.roles.backends.clients.conftest import BEFORE

World = Any
DOCS = Path(__file__).resolve().parents[4] / "docs/backends.md"
GOOD = 'binary = "x"\nedit = []\n[events]\ndone = ["type=end"]\n'


def fenced(language: str, holding: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.DOTALL)
    return next(str(block) for block in blocks if holding in block)


def test_a_new_agent_is_one_toml_and_a_short_script_and_both_are_in_the_documentation(
    world: World, tmp_path: Path
) -> None:
    script = fenced("sh", "halver.sh")
    assert len(script.splitlines()) <= 20
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "halver.toml").write_text(fenced("toml", "agents/halver.toml"))
    (world.bin / "halver.sh").write_text(script)
    (world.bin / "halver.sh").chmod(0o755)
    expect_backends("halver", folder=folder)
    context = BackendContext("junior-1", "", world.root, world.context.folder, agents_folder=folder)
    backend = make_backend("halver", context)
    assert isinstance(backend, ClientBackend) and backend.name == "halver"
    backend.env = world.env
    outcome = backend.edit(world.task(), world.told)
    assert (outcome.result, outcome.title) == (EditResult.EDITED, "Halve DEPTH")
    assert world.canvas() == BEFORE.replace("4", "2", 1)
    assert outcome.cost.output_tokens == len("Set DEPTH to 3.")
    plan = backend.plan(world.brief(), world.told)
    assert [h.title for h in plan.hypotheses] == ["Halve DEPTH"]
    assert "DEPTH is 4 in train.py" in world.told.text


def test_our_own_are_good() -> None:
    assert {spec.name for spec in map(read_agent, agent_files(None).values())} == {
        "claude", "codex", "pi", "opencode", "gemini", "aider", "command",
    }  # fmt: skip
    assert {"offline", "claude", "command"} <= set(known_backends())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('colour = "x"\n' + GOOD, "x.toml:1: [colour]: unknown key"),
        (GOOD + 'donee = ["a=b"]\n', "x.toml:5: [events] donee: unknown key; did you mean done?"),
        (GOOD.replace("type=end", "type=end | a..b"), "is no path"),
        (GOOD.replace("edit = []", 'edit = ["{modle}"]'), "knows no {modle}"),
        (GOOD + '[environment]\nA = "{modle}"\n', "knows no {modle} here"),
        ('binary = "x"\nedit = []\n', "[events] done is missing"),
        ('like = "clod"\n', "there is no 'clod'; there are aider, claude"),
        ('name = "y"\n' + GOOD, 'must be "x"'),
        (GOOD + '[limits]\npatterns = ["("]\n', "is no regular expression"),
        ("binary = \n", "x.toml:1: "),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_agent(tmp_path / "x.toml")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(LabError):
        expect_backends("x", folder=tmp_path)


def test_a_file_may_be_like_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "claude.toml").write_text('like = "claude"\nbinary = "claude-next"\n[environment]\nA = "b"\n')
    spec = read_agent(agent_files(tmp_path)["claude"])
    assert (spec.name, spec.binary, spec.environment["A"]) == ("claude", "claude-next", "b")
    assert spec.environment["DISABLE_AUTOUPDATER"] == "1" and spec.plan


def test_a_file_of_before_may_name_the_agents_folder_as_it_was_named_then(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text(GOOD + '[environment]\nOLD = "{office}/x"\nNEW = "{agent_folder}/x"\n')
    setup = ClientSetup(read_agent(tmp_path / "x.toml"), tmp_path / "junior-1", Auth.OWN, {})
    environment = setup.environment(tmp_path, may_write=True)
    assert environment["OLD"] == environment["NEW"] == f"{tmp_path}/junior-1/x"


def interactive(name: str, folder: Path) -> InteractiveClient:
    spec, own_interface = interactive_spec(name, None)
    return InteractiveClient(
        ClientSetup(spec, folder / "agents/junior-1", Auth.OWN, {}), own_interface, "junior-1", "m",
        folder / 'a "worktree"', folder, folder / "holdout", ("/cli", "mcp", "--lab", "/l"), {"A": 'b "c"'},
        ("/cli", "hook", "--lab", "/a lab"),
    )  # fmt: skip


def test_claude_in_a_pane_has_the_labs_tools_its_hooks_and_no_shell(tmp_path: Path) -> None:
    client = interactive("claude", tmp_path)
    home = client.setup.home
    home.mkdir(parents=True)
    (home / ".claude.json").write_text('{"userID": "u", "projects": {"/other": {"x": 1}}}')
    client.configure()
    server = json.loads((home / "lab-mcp.json").read_text())["mcpServers"]["lab"]
    assert server == {
        "type": "stdio", "command": "/cli", "args": ["mcp", "--lab", "/l"], "env": {"A": 'b "c"'},
    }  # fmt: skip
    settings = json.loads((home / "lab-settings.json").read_text())
    commands = {event: entry[0]["hooks"][0]["command"] for event, entry in settings["hooks"].items()}
    assert commands == {event: f"/cli hook --lab '/a lab' {event}" for event in EVENTS}
    assert f"Read(/{tmp_path}/holdout/**)" in settings["permissions"]["deny"]
    assert "Bash" in settings["permissions"]["deny"]
    own = json.loads((home / ".claude.json").read_text())
    assert own["userID"] == "u" and own["projects"]["/other"] == {"x": 1} and own["hasCompletedOnboarding"]
    assert own["projects"][str(client.worktree)]["hasTrustDialogAccepted"]
    environment = client.environment()
    assert environment["HOME"] == str(home) and "NO_COLOR" not in environment
    assert int(environment["MCP_TOOL_TIMEOUT"]) > 1000 * LONGEST_WAIT_S


def test_codex_in_a_pane_is_told_of_the_lab_in_its_own_words(tmp_path: Path) -> None:
    client = interactive("codex", tmp_path)
    client.configure()
    config = tomllib.loads((client.setup.home / ".codex/config.toml").read_text())
    lab = config["mcp_servers"]["lab"]
    assert (lab["command"], lab["args"], lab["env"]) == ("/cli", ["mcp", "--lab", "/l"], {"A": 'b "c"'})
    assert lab["tool_timeout_sec"] > LONGEST_WAIT_S
    assert config["notify"] == ["/cli", "hook", "--lab", "/a lab", "Stop"]
    assert config["projects"] == {str(client.worktree): {"trust_level": "trusted"}}
    assert not config["sandbox_workspace_write"]["network_access"]
    assert client.environment()["CODEX_HOME"] == str(client.setup.home / ".codex")


def test_an_interface_that_is_not_known_is_one_line() -> None:
    with pytest.raises(LabError, match=r"'pi' has no interface for a pane; .* knows claude, codex"):
        interactive_spec("pi", None)


def test_what_a_model_wrote_is_one_argument_and_no_placeholder() -> None:
    spec = next(spec for spec in map(read_agent, agent_files(None).values()) if spec.name == "codex")
    values = {"model": "m; rm -rf {home} $(x)", "session": "--evil {tmp}", "home": "/h", "tmp": "/t"}
    argv = argv_of(spec, spec.edit or (), values)
    assert "m; rm -rf {home} $(x)" in argv and argv[1:3] == ["resume", "--evil {tmp}"]
    assert "resume" not in argv_of(spec, spec.edit or (), {**values, "session": "", "model": ""})


def test_any_command_is_a_junior(world: World) -> None:
    (world.root / "my agent.sh").write_text(
        "#!/bin/sh\ngrep -q DEPTH && sed -i s/DEPTH.*/DEPTH=$1/ train.py && echo I did\n"
    )
    (world.root / "my agent.sh").chmod(0o755)
    context = BackendContext("j", "", world.root, world.context.folder, command="'./my agent.sh' 3")
    backend = make_backend("command", context)
    assert isinstance(backend, ClientBackend)
    backend.env = world.env
    outcome = backend.edit(world.task(), world.told)
    assert outcome.result is EditResult.EDITED and world.canvas() == "DEPTH=3\nWIDTH = 64\n"
    assert "I did" in outcome.explanation
    with pytest.raises(BackendError, match="no read-only command line"):
        backend.plan(world.brief(), world.told)
    with pytest.raises(BackendError, match="exit code 1"):
        backend.edit(world.task("nothing here"), world.told)
    with pytest.raises(BackendError, match="needs `command"):
        make_backend("command", world.context)


ANSWERS = """n=$(cat $HOME/n 2>/dev/null || echo 0); echo $((n + 1)) > $HOME/n
echo "$@" >> $HOME/argv; cat > $HOME/brief.$n
echo '{"type":"thread.started","thread_id":"t-1"}'
if [ $n = 0 ]; then text='no json'; else text='%s'; fi
printf '{"type":"item.completed","item":{"type":"agent_message","text":"%%s"}}\\n' "$text"
echo '{"type":"turn.completed","usage":{"input_tokens":'$((100 * (n + 1)))',"output_tokens":10}}\'"""


def test_an_unusable_answer_is_asked_for_once_more_in_the_same_session(world: World) -> None:
    good = '{\\"hypotheses\\": [{\\"title\\": \\"t\\", \\"change\\": \\"c\\"}]}'
    plan = world.client("codex", ANSWERS % good).plan(world.brief("The whole brief."), world.told)
    home = world.context.folder / "home"
    assert [h.title for h in plan.hypotheses] == ["t"]
    first, second = (home / "argv").read_text().splitlines()
    assert "resume" not in first and second.startswith("exec resume t-1")
    assert "no complete JSON object" in (home / "brief.1").read_text()
    # It counts its whole thread: 100, then 200 in all.
    assert (plan.cost.input_tokens, plan.cost.output_tokens) == (200, 10)


def test_a_second_unusable_answer_is_an_error(world: World) -> None:
    with pytest.raises(BackendError, match="no complete JSON object") as caught:
        world.client("codex", ANSWERS % "still none").plan(world.brief(), world.told)
    assert caught.value.cost.input_tokens == 200
    assert (world.context.folder / "home/n").read_text().strip() == "2"


def test_a_client_without_sessions_is_given_the_whole_brief_again(world: World) -> None:
    good = '{\\"hypotheses\\": [{\\"title\\": \\"t\\", \\"change\\": \\"c\\"}]}'
    world.client("codex", ANSWERS % good, resume=()).plan(world.brief("The whole brief."), world.told)
    again = (world.context.folder / "home/brief.1").read_text()
    assert again.startswith("The whole brief.") and "no json" in again and "schema" in again


def test_selectors() -> None:
    event = {"a": {"b": [{"k": "x", "v": 1}, {"k": "y", "v": 2}]}, "ok": False, "n": 3, "none": None}
    cases = {
        "a.b[].v": [1, 2], "a.b[k=y].v": [2], "ok=false | n": [3], "ok=0 | n": [], "n=3 & ok=true | n": [],
        "none": [], "a.b.v": [], "missing.x": [], "a.b[k=z].v": [],
    }  # fmt: skip
    assert {text: parse_selector(text).values(event) for text in cases} == cases
    for wrong in ("a=b & c | d", "a..b", "| a b"):
        with pytest.raises(SelectorError):
            parse_selector(wrong)


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("429 Too Many Requests", 60), ("Overloaded", 60), ("You've hit your usage limit.", 900),
        ("usage limit reached|1795259000", 3000), ("rate limited, retry-after: 17", 17),
        ("You've hit your usage limit. Try again in 1 day 2 hours 3 minutes.", 93780),
        ("Your quota will reset after 1h2m3.5s.", 3723.5), ("Please try again in 350ms. rate limit", 1),
    ],
)  # fmt: skip
def test_a_limit_says_when_it_ends(text: str, wait_s: float) -> None:
    assert is_limit(text)
    assert ends_at(text, 1795256000.0) - 1795256000.0 == pytest.approx(wait_s)


def test_a_clock_is_todays_or_tomorrows() -> None:
    assert 0 < ends_at("You've hit your limit · resets 3pm", 1795256000.0) - 1795256000.0 <= 86400
    assert not is_limit("authentication failed: 401") and not is_limit("line 4290 of 5290")


def test_a_named_auth_is_that(world: World) -> None:
    context = BackendContext("j", "", world.root, world.context.folder, auth="inherit")
    backend = make_backend("claude", context)
    assert isinstance(backend, ClientBackend) and backend.auth is Auth.INHERIT
