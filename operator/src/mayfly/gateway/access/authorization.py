"""Authorization: SubjectAccessReviews, cached for some seconds."""

from __future__ import annotations

from mayfly.clock import Monotonic
from mayfly.gateway.access.authentication import CACHE_SECONDS, CACHE_SIZE, User
from mayfly.gateway.access.reviews import Reviews
from mayfly.gateway.cache.ttl import Cache


class Access:
    """Asks the API server whether a user may do something, and caches the answer."""

    def __init__(self, reviews: Reviews, monotonic: Monotonic) -> None:
        self._reviews = reviews
        self._answers: Cache[tuple[User, str, str, str, str, str], bool] = Cache(
            seconds=CACHE_SECONDS, size=CACHE_SIZE, monotonic=monotonic
        )

    async def allowed(
        self,
        user: User,
        verb: str,
        resource: str,
        namespace: str,
        name: str = "",
        *,
        group: str = "mayfly.dev",
    ) -> bool:
        """Whether a user may do `verb` on `resource` of a group; namespace "" means all namespaces.

        A subresource is named as in RBAC: `pipelineruns/status`.
        """
        question = (user, verb, resource, namespace, name, group)
        known = self._answers.get(question)
        if known is not None:
            return known
        status = await self._reviews.subject_access_review(
            {
                "user": user.name,
                "uid": user.uid,
                "groups": list(user.groups),
                "extra": {key: list(values) for key, values in user.extra},
                "resourceAttributes": {
                    "group": group,
                    "resource": resource.partition("/")[0],
                    "subresource": resource.partition("/")[2],
                    "verb": verb,
                    "namespace": namespace,
                    "name": name,
                },
            }
        )
        answer = status.get("allowed") is True
        self._answers.put(question, answer)
        return answer
