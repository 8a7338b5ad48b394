from mayfly.listeners import Listeners


def test_everyone_who_listens_is_told_in_turn() -> None:
    heard: list[tuple[str, str, int]] = []
    news: Listeners[str, int] = Listeners()
    news.tell("nobody", 0)
    news.listen(lambda name, number: heard.append(("first", name, number)))
    news.listen(lambda name, number: heard.append(("second", name, number)))
    news.tell("a", 1)
    assert heard == [("first", "a", 1), ("second", "a", 1)]
