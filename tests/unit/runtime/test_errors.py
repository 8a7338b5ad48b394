"""Errors of the author's code in the words of the run's error."""

import pytest

from mayfly_runtime.worker.errors import last_line


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
