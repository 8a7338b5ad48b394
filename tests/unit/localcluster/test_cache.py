"""The cache: keyed by inputs, whole or not there, built once."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster import lock
from localcluster.builds import cache


def entries() -> list[str]:
    """What is in the cache, the logs aside."""
    return sorted(path.name for path in cache.folder().iterdir() if path.name != "logs")


def content(text: str):
    def build(folder: Path, _) -> None:
        (folder / "file").write_text(text)

    return build


@pytest.fixture
def tree(tmp_path) -> Path:
    root = tmp_path / "tree"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("a")
    (root / "Dockerfile").write_text("FROM scratch")
    return root


@given(st.lists(st.text()), st.lists(st.text()))
def test_a_key_tells_lists_apart(one, other):
    assert (cache.key(*one) == cache.key(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(("ab", "c"), ("a", "bc")), (("a", ""), ("a",)), (("1:a",), ("a",)), (("a", "b"), ("b", "a"))],
)
def test_a_key_knows_where_its_parts_end(one, other):
    assert cache.key(*one) != cache.key(*other)


def test_a_key_is_short_and_of_bytes():
    assert re.fullmatch("[0-9a-f]{12}", cache.key("ä"))
    assert cache.key("ä") == cache.key("ä".encode())


def test_the_folder(monkeypatch, tmp_path):
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("MAYFLY_CACHE")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache.folder() == Path("/home/somebody/.cache/mayfly")


def change_bytes(root: Path) -> None:
    (root / "src" / "a.py").write_text("b")


def change_name(root: Path) -> None:
    (root / "src" / "a.py").rename(root / "src" / "b.py")


def change_place(root: Path) -> None:
    (root / "src" / "a.py").rename(root / "a.py")


def change_mode(root: Path) -> None:
    (root / "src" / "a.py").chmod(0o755)


def add_file(root: Path) -> None:
    (root / "src" / "empty").touch()


@pytest.mark.parametrize("change", [change_bytes, change_name, change_place, change_mode, add_file])
def test_a_tree_key_changes_with(tree, change):
    before = cache.tree_key(tree)
    change(tree)
    assert cache.tree_key(tree) != before


@pytest.mark.parametrize(
    "name", ["src/__pycache__/a.cpython-311.pyc", "tests/test_a.py", "src/a.pyc", ".ruff_cache/x"]
)
def test_a_tree_key_is_blind_to(tree, name):
    before = cache.tree_key(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("new")
    os.utime(tree / "Dockerfile", (1, 1))
    assert cache.tree_key(tree) == before
    assert cache.source_files(tree) == [Path("Dockerfile"), Path("src/a.py")]


def test_an_entry_is_built_once_and_appears_whole():
    seen = []

    def build(folder: Path, _) -> None:
        seen.append(cache.place("thing", "1").exists())
        (folder / "file").write_text("made")

    first = cache.entry("thing", "1", "make it", build)
    again = cache.entry("thing", "1", "make it", build)
    assert seen == [False]
    assert first == again == cache.folder() / "thing-1"
    assert (first / "file").read_text() == "made"
    assert entries() == ["thing-1"]


def test_other_inputs_are_another_entry():
    one = cache.entry("thing", "1", "make it", content("one"))
    two = cache.entry("thing", "2", "make it", content("two"))
    assert [(path / "file").read_text() for path in (one, two)] == ["one", "two"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failed_build_leaves_nothing(error):
    def build(folder: Path, _) -> None:
        (folder / "half").write_text("half")
        raise error

    with pytest.raises(type(error)):
        cache.entry("thing", "1", "make it", build)
    assert entries() == []
    made = cache.entry("thing", "1", "make it", content("whole"))
    assert [path.name for path in made.iterdir()] == ["file"]


def test_what_a_killed_build_left_is_no_part_of_the_next():
    draft = cache.folder() / "thing-1.draft"
    draft.mkdir(parents=True)
    (draft / "half").write_text("half")
    made = cache.entry("thing", "1", "make it", content("whole"))
    assert [path.name for path in made.iterdir()] == ["file"]
    assert entries() == ["thing-1"]


def test_two_callers_build_once(monkeypatch, capsys):
    inside, second_waits, built = threading.Event(), threading.Event(), []
    monkeypatch.setattr(lock, "note", lambda _: second_waits.set())

    def build(folder: Path, _) -> None:
        built.append(folder)
        inside.set()
        assert second_waits.wait(60)
        (folder / "file").write_text("made")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(cache.entry, "thing", "1", "make it", build)
        assert inside.wait(60)
        second = pool.submit(cache.entry, "thing", "1", "make it", build)
        assert first.result(60) == second.result(60)
    assert len(built) == 1
    assert "built by another process" in capsys.readouterr().err
    assert entries() == ["thing-1"]


def test_the_last_used_are_kept():
    for number in "123":
        made = cache.entry("thing", number, "make it", content(number))
        os.utime(made, (int(number), int(number)))
    other = cache.entry("things", "9", "make it", content("9"))
    os.utime(other, (0, 0))
    cache.entry("thing", "1", "make it", content("never"))  # used again
    cache.entry("thing", "4", "make it", content("4"))
    assert entries() == ["thing-1", "thing-3", "thing-4", "things-9"]
    assert (cache.place("thing", "1") / "file").read_text() == "1"


def test_a_new_entry_is_the_last_used_however_long_it_took():
    def slow(folder: Path, _) -> None:
        os.utime(folder, (1, 1))  # nothing was added to the folder itself for long

    for number in "123":
        cache.entry("thing", number, "make it", content(number))
    assert cache.entry("thing", "4", "make it", slow).is_dir()


def test_a_running_build_is_not_pruned():
    draft = cache.folder() / "thing-9.draft"
    draft.mkdir(parents=True)
    os.utime(draft, (0, 0))
    for number in "1234":
        cache.entry("thing", number, "make it", content(number))
    assert draft.is_dir()


@pytest.mark.parametrize("linkable", [True, False])
def test_files_are_linked_or_copied(tmp_path, monkeypatch, linkable):
    def refused(*_) -> None:
        raise OSError("another file system")

    if not linkable:
        monkeypatch.setattr(os, "link", refused)
    source = tmp_path / "wheel"
    source.write_text("wheel")
    cache.link_files([source], tmp_path / "context" / "wheels")
    target = tmp_path / "context" / "wheels" / "wheel"
    assert target.read_text() == "wheel"
    assert target.samefile(source) is linkable
