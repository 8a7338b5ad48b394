"""Errors of the author's code in the words of the run's error."""

import json

import pytest

from mayfly_runtime.worker.errors import last_line, print_traceback


class ReplicateError(Exception):
    """As in `replicate` 1.x, which is not installed here."""

    def __init__(self, title=None, status=None, detail=None):
        self.title, self.status, self.detail = title, status, detail

    def __str__(self):
        return f"ReplicateError Details:\ntitle: {self.title}\nstatus: {self.status}"


ReplicateError.__module__ = "replicate.exceptions"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nothing_like_it", ""),
        ("nothing_like_it.inner", ""),
        ("jso", "; did you mean json?"),
    ],
)
def test_a_missing_package_says_where_those_that_are_there_are_listed(name, hint):
    error = ModuleNotFoundError(f"No module named {name!r}", name=name)
    assert last_line(error) == (
        f"ModuleNotFoundError: No module named {name!r} (no file of the source and no package of "
        f"this runtime{hint}; `kubectl get mprt -o yaml` lists the packages)"
    )


class Derived(ReplicateError):
    """An author's own, of the same sort."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReplicateError("Bad", 404, "There is no model x/y."), "There is no model x/y."),
        (Derived("Bad", 404, "There is no model x/y."), "There is no model x/y."),
        (ReplicateError("Not Found", 404), "Not Found"),
        (ReplicateError(detail=["no text"]), "ReplicateError Details:\ntitle: None\nstatus: None"),
        (ReplicateError(), "ReplicateError Details:\ntitle: None\nstatus: None"),
    ],
)
def test_an_error_of_the_api_is_told_by_its_detail(error, words):
    assert last_line(error).partition(": ")[2] == words


def test_a_traceback_has_the_authors_frames_and_no_others(capsys):
    try:
        try:
            json.loads("{")  # raises three frames down, in Python's own files
        except ValueError as error:
            raise LookupError("no") from error
    except LookupError as error:
        print_traceback(error)
    printed = capsys.readouterr().err
    files = [line for line in printed.splitlines() if line.lstrip().startswith("File ")]
    assert len(files) == 2
    assert all("test_errors.py" in line for line in files)
    assert "JSONDecodeError: Expecting property name" in printed
    assert printed.endswith("LookupError: no\n")
