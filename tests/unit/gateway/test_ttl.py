from mayfly.gateway.cache.ttl import Cache


def test_a_cache_forgets_by_age_and_by_size() -> None:
    now = 0.0
    cache: Cache[str, int] = Cache(seconds=10, size=2, monotonic=lambda: now)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [None, 2, 3]
    now = 10.0
    assert cache.get("c") is None
