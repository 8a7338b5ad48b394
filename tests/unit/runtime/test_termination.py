"""The termination message always fits and is always JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from mayfly_runtime.agent import termination
from mayfly_runtime.agent.messages import Result

TEXT = st.text(max_size=50) | st.builds(lambda c, n: c * n, st.characters(), st.integers(0, 9000))


@given(TEXT, st.none() | TEXT)
def test_it_fits_in_4096_bytes(error, output):
    result = Result("run", 1, "failed", "UserError", error, output, True, "a", "b", 5, 0)
    data = termination.encode(result)
    assert len(data) <= 4096
    read = json.loads(data)
    assert (read["outcome"], read["reason"], read["activeMs"]) == ("failed", "UserError", 5)
    assert read["outputOmitted"] == (output is not None and read["outputJSON"] is None)
    assert error.encode("utf-8", "replace").decode().startswith(read["error"])


def test_a_file_that_cannot_be_written_is_no_error(tmp_path):
    termination.write(tmp_path / "none" / "log", b"x")
    termination.write(tmp_path / "log", b"x")
    assert (tmp_path / "log").read_bytes() == b"x"


def test_a_run_without_an_outcome():
    read = json.loads(termination.encode_unfinished("r", 2, "then", None, 7))
    assert (read["outcome"], read["started"], read["startedAt"], read["activeMs"]) == (
        None, True, "then", 7,
    )  # fmt: skip
