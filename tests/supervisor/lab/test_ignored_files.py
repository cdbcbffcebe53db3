"""What git ignores and a run needs: in its checkout, safe from it, and named where it is missing."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sessions.git.repository import Repository
from supervisor.errors import ConfigError, LaunchError
from supervisor.lab import ignored_files
from supervisor.lab.ignored_files import beside, expect_beside, lay_out, readable_sources
from supervisor.lab.paths import Lab, find_lab
from supervisor.runs.hints import hint_for
from tests.worlds.labs import git

TOML = """\
[lab]
editable = ["train.py"]
command = "{python} train.py"
setup = ""
"""
IGNORED = {
    "data/opt.txt": "1",
    "node_modules/adder/index.js": "",
    "node_modules/@us/deep/index.js": "",
    ".env": "SOME_KEY=sk-123456789\n",
    "cache/old.bin": "c",
}


@pytest.fixture
def lab_with(make_repository: Callable[..., Path]) -> Callable[..., Lab]:
    def make(more: str = "", **files: str) -> Lab:
        tracked = {
            "train.py": "X = 1\n",
            ".gitignore": "data/*\n!data/keep.md\nnode_modules/\n.env\ncache/\n",
            "data/keep.md": "",
            "packages/own/index.js": "of the commit",
            "autoresearch.toml": TOML + more,
        }
        root = make_repository(tracked | files, name="lab")
        for path, text in IGNORED.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        (root / "node_modules" / "own").symlink_to("../packages/own")
        (root / "packages" / "own" / "index.js").write_text("of the person's checkout")
        return find_lab(root)

    return make


def checkout_of(lab: Lab, folder: Path, **options: bool) -> Path:
    git(lab.top, "worktree", "add", "-q", "--detach", str(folder), "HEAD")
    lay_out(lab, Repository(lab.root), folder, "HEAD", **options)
    return folder


def test_links_and_copies_complete_a_checkout(lab_with: Callable[..., Lab], tmp_path: Path) -> None:
    lab = lab_with('links = ["data", "node_modules/"]\ncopies = ["cache"]\n')
    bench = checkout_of(lab, tmp_path / "bench")
    assert (bench / "data" / "opt.txt").readlink() == lab.root / "data" / "opt.txt"
    assert (bench / "data" / "keep.md").is_file() and not (bench / "data" / "keep.md").is_symlink()
    assert not (bench / "cache").is_symlink() and (bench / "cache" / "old.bin").read_text() == "c"
    assert not (bench / ".env").exists()
    # A workspace's own package leads to what is measured, the others to where they lie.
    assert (bench / "node_modules" / "own" / "index.js").read_text() == "of the commit"
    assert (bench / "node_modules" / "adder").resolve() == lab.root / "node_modules" / "adder"
    assert {lab.root / "data", lab.root / "node_modules"} <= set(readable_sources(lab))
    without_links = checkout_of(lab, tmp_path / "set-up", linked=False)
    assert (without_links / "cache").is_dir() and not (without_links / "node_modules").exists()


def test_without_a_sandbox_that_protects_files_links_are_copies(
    lab_with: Callable[..., Lab], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ignored_files, "protects_files", lambda: False)
    lab, said = lab_with('links = ["data"]\n'), list[str]()
    bench = checkout_of(lab, tmp_path / "bench")
    assert not (bench / "data" / "opt.txt").is_symlink()
    expect_beside(lab, Repository(lab.root), bench, "HEAD", said.append)
    assert said == ["note: no sandbox protects your files here, so each run gets copies of data"]


def test_a_worktreeinclude_is_honoured(lab_with: Callable[..., Lab]) -> None:
    lab = lab_with('copies = ["cache"]\n', **{".worktreeinclude": "node_modules/\n.env\ncache/\ntrain.py\n"})
    given = beside(lab)
    assert given.links == ("node_modules",)
    assert given.copies == ("cache", ".env")


def test_what_was_named_has_to_be_here_or_be_made_by_the_set_up(
    lab_with: Callable[..., Lab], tmp_path: Path
) -> None:
    lab = lab_with('links = ["weights"]\n')
    with pytest.raises(LaunchError, match=r"\[lab\] links: there is no weights in "):
        expect_beside(lab, Repository(lab.root), lab.root, "HEAD", print)
    made = lab.benches_dir / "set-up" / "weights"
    made.mkdir(parents=True)
    expect_beside(lab, Repository(lab.root), lab.root, "HEAD", print)
    assert (checkout_of(lab, tmp_path / "bench") / "weights").resolve() == made


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file or directory: 'data/opt.txt'",
            'data/opt.txt is here and ignored by git: [lab] links = ["data/opt.txt"]',
        ),
        (
            "Error: ENOENT: no such file or directory, open '{bench}/cache/old.bin'",
            'cache/old.bin is here and ignored by git: [lab] links = ["cache"]',
        ),
        (
            "Error: Cannot find module 'adder'",
            "node_modules/adder is here and ignored by git: [lab] links = ",
        ),
        ("Cannot find package '@us/deep' imported from", "node_modules/@us/deep is here"),
        ("PermissionError: [Errno 13] Permission denied: '{root}/cache/old.bin'", "cache/old.bin is here"),
        ("FileNotFoundError: No such file or directory: 'other.txt'", ""),
        ("KeyError: 'data'", ""),
    ],
)
def test_a_path_that_lies_ignored_in_the_checkout_is_named_with_its_key(
    lab_with: Callable[..., Lab], tmp_path: Path, words: str, hint: str
) -> None:
    lab = lab_with()
    said = hint_for(lab, words.format(bench=tmp_path / "bench", root=lab.root), tmp_path / "bench")
    assert said.startswith(hint) and bool(said) is bool(hint)


def test_writing_through_a_link_is_told_what_to_do(lab_with: Callable[..., Lab], tmp_path: Path) -> None:
    lab = lab_with('links = ["data"]\n')
    words = "PermissionError: [Errno 13] Permission denied: 'data/new.txt'"
    assert 'copies = ["data"]' in hint_for(lab, words, tmp_path)


def test_submodules_and_lfs_files_are_filled_from_the_clone(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    inner = make_repository({"lib.h": "int x;\n"}, name="inner")
    oid = "ab" * 32
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 5\n"
    tracked = {
        "train.py": "",
        "autoresearch.toml": TOML,
        ".gitattributes": "*.bin filter=lfs\n",
        "w.bin": pointer,
    }
    root = make_repository(tracked | {"gone.bin": pointer.replace("ab", "cd")}, name="lab")
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "third/inner")
    git(root, "commit", "-q", "-m", "a submodule")
    kept = root / ".git" / "lfs" / "objects" / "ab" / "ab" / oid
    kept.parent.mkdir(parents=True)
    kept.write_text("12345")
    lab, said = find_lab(root), list[str]()
    bench = checkout_of(lab, tmp_path / "bench")
    assert (bench / "third" / "inner" / "lib.h").read_text() == "int x;\n"
    assert (bench / "w.bin").read_text() == "12345"
    expect_beside(lab, Repository(root), bench, "HEAD", said.append)
    assert [line.partition(",")[0] for line in said] == ["note: the content of gone.bin is not in your clone"]
    subprocess.run(["rm", "-rf", root / "third" / "inner", root / ".git" / "modules"], check=True)
    expect_beside(lab, Repository(root), bench, "HEAD", said.append)
    assert "the submodule third/inner is not in your clone" in said[1]


def test_editable_folders_and_globs_are_what_they_hold(lab_with: Callable[..., Lab]) -> None:
    lab = lab_with(**{"src/a.py": "", "src/deep/b.py": "", "prompts/x.md": "", "prompts/y.txt": ""})
    file = lab.root / "autoresearch.toml"
    file.write_text(TOML.replace('["train.py"]', '["src", "prompts/*.md"]'))
    section = find_lab(lab.root).config.lab
    assert section.editable == ("src/a.py", "src/deep/b.py", "prompts/x.md")
    assert section.canvas(("src/deep/new.py", "prompts/z.txt", "train.py"))[3:] == ("src/deep/new.py",)
    (lab.root / "link.py").symlink_to("train.py")
    for path, why in {
        "link.py": "link.py is a link to train.py; name the file itself",
        "no": "there is no no in",
    }.items():
        file.write_text(TOML.replace("train.py", path, 1))
        with pytest.raises(ConfigError, match=why):
            find_lab(lab.root)


def test_a_folder_of_a_bigger_repository_is_a_lab(
    make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    files = {
        "projects/ml/train.py": "",
        "projects/ml/autoresearch.toml": TOML,
        "projects/ml/data.py": "",
        "a.py": "",
    }
    root = make_repository(files, name="mono")
    lab = find_lab(root / "projects" / "ml")
    assert (lab.root, lab.top, lab.folder) == (root / "projects" / "ml", root, "projects/ml")
    assert lab.config.lab.editable == ("projects/ml/train.py",)
    assert (lab.refs, lab.within("projects/ml/train.py")) == ("refs/autoresearch/in/projects-ml", "train.py")
    outer = dataclasses.replace(lab, root=root, folder="")
    assert (outer.top, outer.refs) == (root, "refs/autoresearch")
