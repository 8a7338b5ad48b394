"""Publishes Pipelines and Models: create, change, delete, push a new version.

The caller needs the rights on the kinds. The API server's own rules (schemas, admission) apply on
top, and their messages are passed on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from mayfly.api.v1alpha1.model import OWNER_NAME, Endpoint, ReplicateUpstream
from mayfly.api.v1alpha1.pipelineruntime import Price
from mayfly.api.v1alpha1.resource import API_VERSION
from mayfly.api.v1alpha1.source import MAX_BYTES, MAX_FILES, Entrypoint
from mayfly.gateway.access.callers import Caller, Callers
from mayfly.gateway.cache.directory import Directory, Entry
from mayfly.gateway.cache.programs import Programs
from mayfly.gateway.cache.runs import Runs
from mayfly.gateway.http.errors import Busy, Forbidden, Invalid, Missing, Taken, refusal
from mayfly.kube.client import Cluster
from mayfly.kube.errors import Conflict, KubeError
from mayfly.kube.kinds import MODELS, PIPELINES, VERSIONS, Kind
from mayfly.reconcile.observed import SourceProblem
from mayfly.source_check.checker import SourceChecker

Json = dict[str, Any]

DRAFT_BYTES = 1024 * 1024

SETTLE_SECONDS = 10.0
"""How long an answer waits for the version of what was written."""

TRIES = 5

Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]

EMPTY: Json = {"inline": ""}
"""The source of a Pipeline that a later version fills."""

SERVERLESS = (
    "This is a field of a model, which needs its server: send "
    '"endpoint" ({"service": {"name", "port"}} or {"url"}) or "replicate" ({"model", …}).'
)


class Draft(BaseModel):
    """The body of a create, a change or a new version; unknown fields are ignored."""

    owner: Name | None = None
    name: Name | None = None
    description: str | None = Field(default=None, max_length=4096)
    visibility: Literal["private", "public"] | None = None
    hardware: str | None = Field(default=None, max_length=128)
    source: str | None = Field(default=None, max_length=MAX_BYTES)
    files: dict[str, str] | None = Field(default=None, min_length=1, max_length=MAX_FILES)
    entrypoint: Entrypoint | None = None
    timeout: str | None = Field(default=None, max_length=32)
    endpoint: Endpoint | None = None
    replicate: ReplicateUpstream | None = None
    alias: str | None = Field(default=None, pattern=OWNER_NAME, max_length=253)
    concurrency: int | None = Field(default=None, ge=1, le=10_000)
    price: tuple[Price, ...] | None = Field(default=None, max_length=8)

    @property
    def has_source(self) -> bool:
        """Whether it has the source of a Pipeline."""
        return self.source is not None or self.files is not None

    @property
    def has_server(self) -> bool:
        """Whether it has the server of a Model."""
        return self.endpoint is not None or self.replicate is not None

    @property
    def lacks_server(self) -> str:
        """A field that only a Model has, in a draft without a Model's server; "" if none."""
        if self.has_server:
            return ""
        given = {"alias": self.alias, "concurrency": self.concurrency, "price": self.price}
        return next((name for name, value in given.items() if value is not None), "")

    def source_body(self) -> Json:
        """The Pipeline's `spec.source`."""
        return {"inline": self.source} if self.files is None else {"files": self.files}

    def texts(self) -> dict[str, str]:
        """All files by name."""
        return {"main.py": self.source or ""} if self.files is None else self.files


def read(body: bytes) -> Draft:
    """Parse a body.

    Raises:
        Invalid: names the wrong field.
    """
    try:
        draft = Draft.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = "/".join(str(each) for each in first["loc"])
        words = f"{place}: {first['msg']}." if place else f"The body is not JSON: {first['msg']}."
        raise Invalid(words, pointer=f"/{place}" if place else "") from None
    if draft.source is not None and draft.files is not None:
        raise Invalid("Send one of source and files.", pointer="/files")
    if draft.endpoint is not None and draft.replicate is not None:
        raise Invalid("Send one of endpoint and replicate.", pointer="/replicate")
    if draft.has_source and draft.has_server:
        raise Invalid("It is a pipeline (source, files) or a model (endpoint, replicate).")
    return draft


class Publishing:
    """Creates, changes and deletes Pipelines and Models on behalf of callers, with their rights."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        directory: Directory,
        callers: Callers,
        programs: Programs,
        sources: SourceChecker,
        runs: Runs,
    ) -> None:
        self._cluster = cluster
        self._directory = directory
        self._callers = callers
        self._programs = programs
        self._sources = sources
        self._runs = runs

    # -- made ------------------------------------------------------------------------------------

    async def create(self, caller: Caller, draft: Draft) -> Entry:
        """Create a Pipeline or a Model, and wait briefly for its version.

        Without a source or a server it is a Pipeline without a version, which a push fills: this
        is how Replicate's clients create a model.

        Raises:
            Invalid: the draft is wrong; names the source's file and line.
            Forbidden: the caller may not.
            Taken: the name is in use.
        """
        owner = draft.owner or self._callers.own_namespace(caller)
        if not draft.name:
            raise Invalid("name is missing.", pointer="/name")
        kind = MODELS if draft.has_server else PIPELINES
        await self._require(caller, "create", kind, owner)
        if draft.lacks_server:
            raise Invalid(SERVERLESS, pointer=f"/{draft.lacks_server}")
        if self._directory.named(owner, draft.name) is not None:
            raise Taken(f'"{owner}/{draft.name}" exists already.')
        spec = await self._spec(kind, draft)
        if kind is PIPELINES:
            spec.setdefault("source", EMPTY)
        await self._may_use_token(caller, owner, spec)
        body = {
            "apiVersion": API_VERSION,
            "kind": kind.name,
            "metadata": {"name": draft.name, "namespace": owner},
            "spec": spec,
        }
        what = f'{kind.name} "{owner}/{draft.name}"'
        try:
            made = await self._cluster.create(kind, owner, body)
        except Conflict:
            raise Taken(f"{what} exists already.") from None
        except KubeError as error:
            raise refusal(error, what) from error
        return await self._settled(kind, made)

    # -- changed ---------------------------------------------------------------------------------

    async def change(self, caller: Caller, entry: Entry, draft: Draft) -> Entry:
        """Change the fields in the draft; a new source creates a new version.

        Raises:
            Invalid: a field is wrong, or does not apply to this kind.
            Forbidden: the caller may not.
        """
        kind = MODELS if entry.is_model else PIPELINES
        await self._require(caller, "patch", kind, entry.namespace)
        if draft.has_source and entry.is_model:
            raise Invalid(f'"{entry.name}" is a Model: it has no source here.', pointer="/source")
        if draft.has_server and not entry.is_model:
            raise Invalid(f'"{entry.name}" is a Pipeline; it runs its source.', pointer="/endpoint")
        before = entry.body["spec"].get("entrypoint")
        wanted = await self._spec(kind, draft, before)
        if not wanted:
            return entry
        what = f'{kind.name} "{entry.namespace}/{entry.name}"'
        for _ in range(TRIES):
            try:
                current = await self._cluster.get(kind, entry.namespace, entry.name)
                await self._may_use_token(caller, entry.namespace, current["spec"], wanted)
                version = current["metadata"]["resourceVersion"]
                patch = {
                    "metadata": {"resourceVersion": version},
                    "spec": _replacing(current["spec"], wanted),
                }
                made = await self._cluster.patch(kind, entry.namespace, entry.name, patch)
            except Conflict:
                continue
            except KubeError as error:
                raise refusal(error, what) from error
            return await self._settled(kind, made)
        raise Taken(f"{what} is being changed by somebody else; try again.")

    async def push(self, caller: Caller, owner: str, name: str, draft: Draft) -> Entry:
        """Create a new version of a Pipeline, or the Pipeline with its first version.

        Raises:
            Invalid: there is no source.
            Busy: it was written, but its version is not created yet.
        """
        if not draft.has_source:
            raise Invalid(
                'Send "source", "files", or a form with the file source_archive (tar.gz).',
                pointer="/source",
            )
        entry = self._directory.find(owner, name, caller.namespace)
        if entry is None or not await self._callers.sees(caller, entry):
            draft = draft.model_copy(update={"owner": owner, "name": name})
            entry = await self.create(caller, draft)
        else:
            entry = await self.change(caller, entry, draft)
        if not entry.settled:
            raise Busy(f'"{owner}/{name}" was written; its version is being created. Try again.')
        if entry.problem or entry.latest_version is None:
            raise Invalid(f'"{owner}/{name}" has no version for this source: {entry.problem}')
        return entry

    async def delete(self, caller: Caller, entry: Entry) -> None:
        """Delete a Pipeline with its versions, or a Model.

        Raises:
            Forbidden: the caller may not.
        """
        kind = MODELS if entry.is_model else PIPELINES
        await self._require(caller, "delete", kind, entry.namespace)
        try:
            await self._cluster.delete(kind, entry.namespace, entry.name, uid=entry.uid)
        except KubeError as error:
            raise refusal(error, f'{kind.name} "{entry.namespace}/{entry.name}"') from error

    async def delete_version(self, caller: Caller, entry: Entry, identity: str) -> None:
        """Delete a version of a Pipeline that is not its latest, and that no unfinished run uses.

        Raises:
            Forbidden: the caller may not delete the Pipeline.
            Missing: it has no version with this id.
            Taken: something needs the version.
        """
        await self._require(
            caller, "delete", MODELS if entry.is_model else PIPELINES, entry.namespace
        )
        if identity == entry.latest_version:
            raise Taken(
                f'This is what "{entry.namespace}/{entry.name}" runs. To delete the version, push '
                f"another one first; to delete all of it, delete the model."
            )
        found = self._directory.version(identity)
        if found is None or found.key != (entry.namespace, entry.name):
            raise Missing(f'"{entry.namespace}/{entry.name}" has no version "{identity[:64]}".')
        user = next((each for each in self._runs.unfinished() if each.uses(identity)), None)
        if user is not None:
            raise Taken(
                f'The run "{"/".join(user.key)}" uses this version, and has not ended. Delete the '
                f"version when it has, or cancel it."
            )
        metadata = found.body["metadata"]
        place, uid = (metadata["namespace"], metadata["name"]), metadata["uid"]
        try:
            await self._cluster.delete(VERSIONS, *place, uid=uid)
        except KubeError as error:
            raise refusal(error, f'PipelineVersion "{"/".join(place)}"') from error

    # -- inside ----------------------------------------------------------------------------------

    async def _require(self, caller: Caller, verb: str, kind: Kind, namespace: str) -> None:
        if caller.run is not None:
            raise Forbidden(f"A run's token may not {verb} {kind.plural}.")
        await self._callers.require(caller, verb, kind.plural, namespace)

    async def _may_use_token(self, caller: Caller, namespace: str, *specs: Json) -> None:
        """Check the right to use a token's Secret: the admission policy sees only our own."""
        for spec in specs:
            reference = (spec.get("replicate") or {}).get("tokenSecretRef")
            if reference is None:
                continue
            # A Model of somebody who may not read it can't use it.
            await self._callers.require_secret(caller, namespace, str(reference["name"]))

    async def _spec(self, kind: Kind, draft: Draft, entrypoint: str | None = None) -> Json:
        spec: Json = {
            "description": draft.description,
            "visibility": draft.visibility,
            "timeout": draft.timeout,
        }
        if kind is PIPELINES:
            if draft.has_source:
                await self._check_source(draft, entrypoint)
                spec["source"] = draft.source_body()
            spec["entrypoint"] = draft.entrypoint
            spec["runtime"] = await self._runtime(draft.hardware)
        else:
            spec |= {
                "endpoint": draft.endpoint.body() if draft.endpoint else None,
                "replicate": draft.replicate.body() if draft.replicate else None,
                "alias": draft.alias,
                "hardware": draft.hardware,
                "concurrency": draft.concurrency,
                "price": None if draft.price is None else [each.body() for each in draft.price],
            }
        return {name: value for name, value in spec.items() if value is not None}

    async def schema(self, draft: Draft, entrypoint: str | None = None) -> Json | SourceProblem:
        """The OpenAPI document of a draft's source, or what is wrong with the source.

        Args:
            draft: has a source.
            entrypoint: where the draft names none.
        """
        entrypoint = draft.entrypoint or entrypoint or "main.py:main"
        return await self._sources.schema(draft.texts(), entrypoint)

    async def _check_source(self, draft: Draft, entrypoint: str | None) -> None:
        schema = await self.schema(draft, entrypoint)
        if isinstance(schema, SourceProblem):
            raise Invalid(f"The source can't be run: {schema.message}", pointer="/source")

    async def _runtime(self, hardware: str | None) -> str | None:
        """The PipelineRuntime for a `hardware`; `cpu` is Replicate's name of the default."""
        if hardware in {None, "", "cpu"}:
            return None
        names = await self._programs.runtimes()
        if hardware not in names:
            known = ", ".join(sorted(names)) or "none"
            raise Invalid(
                f'There is no hardware "{hardware}" for pipelines; there is: {known}.',
                pointer="/hardware",
            )
        return hardware

    async def _settled(self, kind: Kind, body: Json) -> Entry:
        if kind is PIPELINES:
            self._directory.learn_pipeline(body)
        else:
            self._directory.learn_model(body)
        is_model = kind is MODELS
        return await self._directory.written(body, is_model=is_model, seconds=SETTLE_SECONDS)


def _replacing(current: Json, wanted: Json) -> Json:
    """A merge patch that replaces an object completely: otherwise old fields would remain."""
    patch = dict(wanted)
    if "source" in wanted:
        new = wanted["source"]
        old = (current.get("source") or {}).get("files") or {}
        files = {**dict.fromkeys(old), **new["files"]} if "files" in new else None
        patch["source"] = {"inline": new.get("inline"), "files": files}
    for one, other in (("endpoint", "replicate"), ("replicate", "endpoint")):
        if one in wanted:
            patch[other] = None
            patch[one] = dict.fromkeys(current.get(one) or {}) | wanted[one]
    return patch


def latest_of(entry: Entry, identity: str) -> None:
    """Check that a version is the latest, which is the one that is called.

    Raises:
        Taken: it is an older version.
        Missing: the entry has no version with this id.
    """
    if entry.latest_version is None:
        raise Missing(f'"{entry.namespace}/{entry.name}" has no version.')
    if identity != entry.latest_version:
        raise Taken("Only the newest version can be released; push the older source again.")
