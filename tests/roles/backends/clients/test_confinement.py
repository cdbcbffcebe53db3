"""What a client sees and may touch: its own provider's key, its own rooms, the worktree, and nothing else."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from roles.backend import BackendError, EditResult
from roles.backends.clients.client_setup import Auth, auth_of
from sessions.sandbox.client_sandbox import can_be_alone, can_limit
from tests.roles.backends.clients.conftest import BEFORE, EDITS, KEY

World = Any
limited = pytest.mark.skipif(not can_limit(), reason="no Landlock on this machine")
OTHERS = {
    "OPENAI_API_KEY": "sk-of-openai", "GEMINI_API_KEY": "of-gemini", "AWS_SECRET_ACCESS_KEY": "of-aws",
    "HF_TOKEN": "of-hf", "GITHUB_TOKEN": "of-github", "SSH_AUTH_SOCK": "/run/agent", "WANDB_API_KEY": "of-wandb",
}  # fmt: skip


def test_the_environment_is_made_from_scratch(world: World) -> None:
    world.env |= OTHERS | {"HTTPS_PROXY": "http://proxy:1", "LD_PRELOAD": "/tmp/evil.so"}
    script = world.plays("claude-edit.jsonl", first=f"env > $TMPDIR/seen; {EDITS}")
    world.client("claude", script).edit(world.task(), world.told)
    folder = world.context.folder
    seen = dict(line.split("=", 1) for line in (folder / "tmp/seen").read_text().splitlines() if "=" in line)
    assert not OTHERS.keys() & seen.keys() and "LD_PRELOAD" not in seen
    assert not set(OTHERS.values()) & set(seen.values())
    assert (seen["ANTHROPIC_API_KEY"], seen["HTTPS_PROXY"]) == (KEY, "http://proxy:1")
    assert (seen["HOME"], seen["TMPDIR"]) == (str(folder / "home"), str(folder / "tmp"))
    assert all(Path(seen[f"XDG_{n}_HOME"]).is_relative_to(folder) for n in ("CONFIG", "DATA", "CACHE"))
    assert folder.stat().st_mode & 0o077 == 0


def test_no_secret_reaches_the_pane(world: World) -> None:
    event = '{"type":"assistant","message":{"content":[{"type":"text","text":"key %s"}]}}\\n'
    script = world.plays("claude-edit.jsonl", first=f"printf '{event}' \"$ANTHROPIC_API_KEY\"; {EDITS}")
    world.client("claude", script).edit(world.task(), world.told)
    assert KEY not in world.told.text and "key …" in world.told.text


@limited
def test_a_chief_that_is_told_to_edit_changes_nothing_and_is_seen(world: World) -> None:
    tries = "; ".join(
        [
            EDITS,
            "echo x > new.py",
            "git add -A",
            "git -c user.name=c -c user.email=c@c commit -qm chief",
            f"echo x > {world.root}/prepare.py",
            f"echo x > {world.root}/.git/refs/heads/x",
        ]
    )
    denied = (
        '{"type":"item.completed","item":{"type":"command_execution","status":"failed",'
        '"command":"git commit","aggregated_output":"Permission denied"}}'
    )
    text = '{\\"hypotheses\\": [{\\"title\\": \\"t\\", \\"change\\": \\"c\\"}], \\"summary\\": \\"s\\"}'
    answer = f'{{"type":"item.completed","item":{{"type":"agent_message","text":"{text}"}}}}'
    script = f'({tries}) 2>/dev/null\ncat <<\'E\'\n{denied}\n{answer}\n{{"type":"turn.completed"}}\nE'
    before = world.git("status", "--porcelain", "--ignored") + world.git("log", "--all", "--format=%H")
    plan = world.client("codex", script).plan(world.brief(), world.told)
    assert [h.title for h in plan.hypotheses] == ["t"]
    assert world.canvas() == BEFORE and not (world.worktree / "new.py").exists()
    assert before == world.git("status", "--porcelain", "--ignored") + world.git(
        "log", "--all", "--format=%H"
    )
    assert ("refused: command_execution", "Permission denied") in world.told.tools
    assert "the worktree changed" not in world.told.text


def test_where_the_system_limits_nothing_a_change_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessions.sandbox.client_sandbox.can_limit", lambda: False)
    text = '{\\"hypotheses\\": [{\\"title\\": \\"t\\", \\"change\\": \\"c\\"}]}'
    answer = f'{{"type":"item.completed","item":{{"type":"agent_message","text":"{text}"}}}}'
    script = f'{EDITS}; cat <<\'E\'\n{answer}\n{{"type":"turn.completed"}}\nE'
    world.client("codex", script).plan(world.brief(), world.told)
    assert "was to read only, and the worktree changed: train.py" in world.told.text


@limited
def test_a_junior_reaches_its_worktree_and_its_rooms_and_nothing_else(world: World) -> None:
    person = Path(world.env["HOME"])
    secrets = [
        person / "id_rsa",
        world.root / ".autoresearch/holdout.json",
        world.root / ".autoresearch/agents/other/k",
    ]
    for path in secrets:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("the secret")
    reads = "; ".join(f"cat {path}" for path in [*secrets, f"/proc/{os.getpid()}/environ"])
    writes = "; ".join(
        f"echo x > {path}" for path in (world.root / "prepare.py", person / ".bashrc", "/tmp/of-a-client")
    )
    commits = "git add -A; git -c user.name=c -c user.email=c@c commit -qm junior"
    tries = f"({reads}; {writes}; {commits}) > $TMPDIR/got 2> $TMPDIR/errors; {EDITS}; echo x > $HOME/mine"
    outcome = world.client("claude", world.plays("claude-edit.jsonl", first=tries)).edit(
        world.task(), world.told
    )
    assert outcome.result is EditResult.EDITED and "DEPTH = 3" in world.canvas()
    tmp = world.context.folder / "tmp"
    assert (tmp / "got").read_text() == ""
    assert (tmp / "errors").read_text().lower().count("permission denied") >= 7
    assert (world.context.folder / "home/mine").exists()
    assert (world.root / "prepare.py").read_text() == "METRIC = 1\n"
    assert world.git("log", "--all", "--format=%s").split() == ["first"]


@limited
def test_nobody_types_into_the_persons_tmux(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_be_alone():
        pytest.skip("no namespaces for this user")
    with tempfile.TemporaryDirectory(prefix="ar-tmux-") as folder:  # a socket's path is short
        monkeypatch.setenv("TMUX_TMPDIR", folder)
        tmux = ["tmux", "-L", "lab", "-f", "/dev/null"]
        subprocess.run([*tmux, "new-session", "-d", "sleep", "60"], check=True)
        try:
            socket = Path(folder, f"tmux-{os.getuid()}", "lab")
            assert socket.is_socket()
            asks = f"tmux -S {socket} list-sessions > $TMPDIR/got 2> $TMPDIR/errors; {EDITS}"
            world.client("claude", world.plays("claude-edit.jsonl", first=asks)).edit(
                world.task(), world.told
            )
        finally:
            subprocess.run([*tmux, "kill-server"], check=True)
    assert (world.context.folder / "tmp/got").read_text() == ""
    assert "No such file" in (world.context.folder / "tmp/errors").read_text()


def test_where_git_finds_the_repository_is_put_back(world: World) -> None:
    link = world.worktree / ".git"
    before = link.read_text()
    script = world.plays("claude-edit.jsonl", first=f"{EDITS}; echo 'gitdir: /tmp/evil' > .git")
    with pytest.raises(BackendError, match="where git finds the repository"):
        world.client("claude", script).edit(world.task(), world.told)
    assert link.read_text() == before


def test_an_agents_file_writes_into_its_own_rooms_only(world: World) -> None:
    with pytest.raises(BackendError, match="its own files only"):
        world.client("codex", "true", files={"{person_home}/.bashrc": "x"}).edit(world.task(), world.told)


def test_the_persons_login_is_used_only_without_a_key(world: World) -> None:
    spec = world.client("claude").spec
    login = Path(world.env["HOME"], ".claude/.credentials.json")
    assert auth_of(spec, Auth.AUTO, world.env) is Auth.OWN
    del world.env["ANTHROPIC_API_KEY"]
    assert auth_of(spec, Auth.AUTO, world.env) is Auth.OWN
    login.parent.mkdir()
    login.write_text("{}")
    assert auth_of(spec, Auth.AUTO, world.env) is Auth.INHERIT
    assert auth_of(spec, Auth.OWN, world.env) is Auth.OWN
    world.env["ANTHROPIC_API_KEY"] = KEY
    assert auth_of(spec, Auth.AUTO, world.env) is Auth.OWN


def test_an_inherited_login_is_pointed_at_and_nothing_is_written_there(world: World) -> None:
    backend = world.client(
        "claude", world.plays("claude-edit.jsonl", first=f"echo $HOME > $TMPDIR/seen; {EDITS}")
    )
    backend.auth = Auth.INHERIT
    backend.edit(world.task(), world.told)
    assert (world.context.folder / "tmp/seen").read_text().strip() == world.env["HOME"]
    assert list(Path(world.env["HOME"]).iterdir()) == []
    assert "auth: inherit" in world.told.text
