"""The caller of a request: who it is, which namespace it acts in, what it may do there.

a run's token                  acts in the run's namespace, as a child of the run
/ns/<namespace> in the URL     acts there
a ServiceAccount's token       acts in the ServiceAccount's namespace
anybody else                   in the namespace of what is called
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from mayfly.gateway.access.authentication import SERVICE_ACCOUNT, Authenticator, User
from mayfly.gateway.access.authorization import Access
from mayfly.gateway.access.browsers import PROXIED
from mayfly.gateway.access.denials import NAME, denied
from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.gateway.cache.runs import Runs, Seen
from mayfly.gateway.http import urls
from mayfly.gateway.http.errors import Forbidden, Invalid, Missing, Unauthenticated
from mayfly.reconcile.visibility import not_callable

CANCELLED_RUN = "The run of this token was cancelled, so it can't start anything more."


@dataclass(frozen=True)
class Caller:
    """An authenticated caller.

    Attributes:
        user: a person or program; None for a run.
        run: the live run of a run token; None for people.
        namespace: where the caller acts; None if it depends on what it calls.
    """

    user: User | None
    run: Seen | None
    namespace: str | None

    @property
    def told(self) -> str:
        """A sentence for a 404: who one is, since what one may not see looks as if it were not."""
        if self.user is None:
            return ""
        where = f', and act in the namespace "{self.namespace}"' if self.namespace else ""
        return f' You are "{self.user.name[:NAME]}"{where}.'


class Callers:
    """Authenticates callers and checks their rights."""

    def __init__(
        self, authenticator: Authenticator, access: Access, runs: Runs, directory: Directory
    ) -> None:
        self._authenticator = authenticator
        self._access = access
        self._runs = runs
        self._directory = directory

    async def caller(self, request: Request) -> Caller:
        """Authenticate the sender of a request.

        Raises:
            Unauthenticated: no valid token, or the token of an ended run.
            Forbidden: a run that acts for another namespace.
        """
        namespace = urls.namespace_of(request)
        identity = request.scope.get(PROXIED)
        if identity is None:
            identity = await self._authenticator.identify(request.headers)
        if isinstance(identity, User):
            return Caller(identity, None, namespace or own_namespace(identity))
        seen = self._runs.get(identity.uid)
        if seen is None or seen.run.status.ended or seen.key[0] != identity.namespace:
            raise Unauthenticated("The run of this token has ended.")
        if namespace and namespace != identity.namespace:
            raise Forbidden("A run acts in its own namespace; leave /ns/… out of the base URL.")
        return Caller(None, seen, identity.namespace)

    async def may(self, caller: Caller, verb: str, resource: str, namespace: str) -> bool:
        """Whether a person may do `verb` on `resource` of `mayfly.dev`; a run never may.

        Args:
            caller: who asks.
            verb: as in RBAC.
            resource: `pipelineruns`, or with a subresource `pipelineruns/status`.
            namespace: where; "" for all namespaces.
        """
        if caller.user is None:
            return False
        return await self._access.allowed(caller.user, verb, resource, namespace)

    async def require_secret(self, caller: Caller, namespace: str, name: str) -> None:
        """Require that a person may read a Secret; a run never may.

        Raises:
            Forbidden: it may not.
        """
        if caller.user is None:
            raise Forbidden("A run's token may not read Secrets.")
        asked = ("get", "secrets", namespace, name)
        if not await self._access.allowed(caller.user, *asked, group=""):
            raise denied(caller.user, *asked, group="")

    def own_namespace(self, caller: Caller) -> str:
        """The namespace that a request acts in if it names nothing else.

        Raises:
            Invalid: the caller has no namespace of its own, and names none.
        """
        if caller.namespace is None:
            raise Invalid(
                "Name a namespace: end the base URL with /ns/<namespace>, or use the token "
                "of a ServiceAccount."
            )
        return caller.namespace

    async def require(self, caller: Caller, verb: str, resource: str, namespace: str) -> None:
        """Require a right of a person; namespace "" means all namespaces.

        Raises:
            Forbidden: the caller lacks it; a forbidden and a missing namespace look the same.
        """
        if caller.user is None:
            raise Forbidden(f"A run's token may not {verb} {resource}.")
        if not await self.may(caller, verb, resource, namespace):
            raise denied(caller.user, verb, resource, namespace)

    async def entry(self, caller: Caller, owner: str, name: str) -> Entry:
        """A Pipeline or Model that the caller may see.

        Raises:
            Missing: there is none, or the caller may not know of it.
        """
        found = self._directory.find(owner, name, caller.namespace)
        if found is None or not await self.sees(caller, found):
            raise Missing(
                f'There is no model "{owner[:64]}/{name[:64]}" that you may call. It is the '
                f"namespace and name of a Pipeline or Model, or a Model's alias.{caller.told}"
            )
        return found

    async def sees(self, caller: Caller, entry: Entry) -> bool:
        """Whether the caller may see an entry."""
        if self.shared(entry, caller.namespace):
            return True
        if caller.run is not None:
            return entry.namespace == caller.namespace
        resource = "models" if entry.is_model else "pipelines"
        return await self.may(caller, "get", resource, entry.namespace)

    def shared(self, entry: Entry, namespace: str | None) -> bool:
        """Whether an entry is public, or shared with a namespace by its Model's alias."""
        return entry.public or self._directory.shared_by_alias(entry, namespace)

    def require_callable(self, entry: Entry, namespace: str) -> None:
        """Require that an entry may be called from a namespace.

        Raises:
            Forbidden: it is private to another namespace, or uses secrets of another namespace.
        """
        by_alias = self._directory.shared_by_alias(entry, namespace)
        words = not_callable(entry.typed, namespace, by_alias=by_alias)
        if words:
            raise Forbidden(words)


def own_namespace(user: User) -> str | None:
    """The namespace of a ServiceAccount; None for anybody else."""
    if not user.name.startswith(SERVICE_ACCOUNT):
        return None
    return user.name.removeprefix(SERVICE_ACCOUNT).partition(":")[0]
