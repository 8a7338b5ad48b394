"""How long a run that polls is kept waiting for news."""

from mayfly.gateway.predictions.long_polls import FORGET_SECONDS, LONGEST_SECONDS, LongPolls


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Reader:
    """A run that polls."""

    def __init__(self, polls: LongPolls, name: str = "reader") -> None:
        self._polls = polls
        self._name = name

    def poll(self, uid: str, mark: int, *, ended: bool = False) -> float:
        pause = self._polls.pause(self._name, uid, mark)
        self._polls.note_answer(self._name, uid, mark, ended=ended)
        return pause


def test_what_a_run_has_not_been_told_is_told_at_once() -> None:
    clock = Clock()
    polls = LongPolls(clock)
    run, other = Reader(polls), Reader(polls, "other")
    assert run.poll("child", 1) == 0
    clock.now = 1.0
    assert run.poll("child", 2) == 0
    assert run.poll("another child", 2) == 0
    assert other.poll("child", 2) == 0


def test_a_poll_is_held_as_long_as_nothing_was_new_before_it() -> None:
    clock = Clock()
    run = Reader(LongPolls(clock))
    run.poll("child", 1)
    for clock.now in (0.0625, 0.125, 1.0, 4.0):
        assert run.poll("child", 1) == clock.now
    clock.now = 20.0
    assert run.poll("child", 1) == LONGEST_SECONDS
    run.poll("child", 2)
    clock.now = 20.5
    assert run.poll("child", 2) == 0.5


def test_who_looks_at_many_in_turn_is_held_no_longer_than_for_one() -> None:
    clock = Clock()
    run = Reader(LongPolls(clock))
    for child in range(10):
        run.poll(f"child {child}", 1)
    clock.now = 60.0 - 1
    assert sum(run.poll(f"child {child}", 1) for child in range(10)) == LONGEST_SECONDS
    for child in range(1, 10):
        assert run.poll(f"child {child}", 2, ended=True) == 0
    assert run.poll("child 0", 1) == LONGEST_SECONDS


def test_who_has_not_asked_for_long_is_answered_at_once() -> None:
    clock = Clock()
    run = Reader(LongPolls(clock))
    run.poll("child", 1)
    clock.now = FORGET_SECONDS
    assert run.poll("child", 1) == 0
