"""Reads a run's Kubernetes Secrets when its work is sent; they are not stored.

The gateway has no general right to read Secrets: a Role in each namespace allows it those that runs
of the namespace may use. A value goes from the API server into the `work` message and nowhere else.
Secrets that callers sent as text are in the store, sealed for the run (`sealed`).
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass, field
from typing import Any

from mayfly.api.v1alpha1 import Pipeline
from mayfly.api.v1alpha1.pipeline import SecretKeyRef
from mayfly.gateway.cache.programs import Program
from mayfly.gateway.cache.runs import Seen
from mayfly.gateway.files.store import Files
from mayfly.gateway.secrets.sealed import SCHEME, Sealed, words
from mayfly.kube.client import Cluster, find_object
from mayfly.kube.errors import NotFound, Refused
from mayfly.kube.kinds import PIPELINES, SECRETS
from mayfly_runtime.spec import inputs, pointer, strict_json

MAX_VALUE_BYTES = 64 * 1024
"""Maximum size: with a variable of twice this size, no process can start any more."""

MAX_TOTAL_BYTES = 1024 * 1024

Json = dict[str, Any]


class SecretUnavailable(Exception):
    """A Secret is unavailable; the message says which, why, and how to fix it."""


@dataclass(frozen=True)
class Unlocked:
    """The secrets of one run, for its agent only: never logged, stored or shown.

    Attributes:
        environment: values by variable.
        input_json: the input with its secrets filled in; None if it names none.
    """

    environment: dict[str, str] = field(default_factory=dict, repr=False)
    input_json: str | None = field(default=None, repr=False)


class SecretLookup:
    """Reads the Secrets and sealed texts of a run."""

    def __init__(
        self, cluster: Cluster, files: Files, sealed: Sealed, account: str, input_bytes: int
    ) -> None:
        """Create it.

        Args:
            cluster: the API server.
            files: has large inputs.
            sealed: has the secrets that callers sent as text.
            account: the gateway's ServiceAccount, as namespace:name.
            input_bytes: the maximum size of an input.
        """
        self._cluster = cluster
        self._files = files
        self._sealed = sealed
        self._account = account
        self._input_bytes = input_bytes

    async def unlock(self, seen: Seen, program: Program) -> Unlocked:
        """The secrets of a claimed run, as they are now.

        Raises:
            SecretUnavailable: one is unavailable; the run must not start.
            KubeError: the API server does not answer.
        """
        variables = await self._variables(seen)
        value, places = await self._input(seen, program)
        if not variables and not places:
            return Unlocked()
        given = [place for place in places if isinstance(pointer.pick(value, place), str)]
        by_name = [place for place in places if place not in given]
        named = [_reference(pointer.pick(value, place)) for place in by_name]
        texts = await self._given(seen, [pointer.pick(value, place) for place in given])
        # One reading a Secret; of several keys the words then name one.
        wanted = {each.name: each for each in [*variables.values(), *named]}
        namespace, _ = seen.key
        bodies = await asyncio.gather(*(self._read(namespace, each) for each in wanted.values()))
        secrets = dict(zip(wanted, bodies, strict=True))
        environment = {
            env: _value(secrets, namespace, reference) for env, reference in variables.items()
        }
        for place, reference in zip(by_name, named, strict=True):
            pointer.place(value, place, _value(secrets, namespace, reference))
        for place in given:
            pointer.place(value, place, texts[pointer.pick(value, place)])
        _check(environment, [pointer.pick(value, place) for place in places])
        text = strict_json.dump(value) if places else None
        return Unlocked(environment, text)

    async def value(self, namespace: str, reference: SecretKeyRef) -> str:
        """One key of a Secret.

        Raises:
            SecretUnavailable: it is unavailable.
            KubeError: the API server does not answer.
        """
        body = await self._read(namespace, reference)
        return _value({reference.name: body}, namespace, reference)

    async def _variables(self, seen: Seen) -> dict[str, SecretKeyRef]:
        """`spec.secrets` of the Pipeline, if it is in the run's own namespace, as it is now."""
        reference = seen.run.spec.pipeline_ref
        namespace, _ = seen.key
        # A run of another namespace's Pipeline is given nothing of either's by that Pipeline.
        if reference is None or (reference.namespace or namespace) != namespace:
            return {}
        body = await find_object(self._cluster, PIPELINES, namespace, reference.name)
        if body is None:
            return {}  # deleted since the claim; the run has its version
        pipeline = Pipeline.model_validate(body)
        return {each.env: each.secret_key_ref for each in pipeline.spec.secrets}

    async def _input(self, seen: Seen, program: Program) -> tuple[Json, list[pointer.Pointer]]:
        """The input, and the places where it names secrets."""
        if not inputs.has_secrets(program.schema):
            return {}, []
        source = seen.run.spec.input_from
        if source is None:
            text: str | None = seen.input_text
        else:
            text = await self._files.text(source.file, source.sha256, self._input_bytes)
        try:
            value = inputs.parse(text or "{}")
        except ValueError:
            return {}, []  # the agent says what is wrong with it
        if not isinstance(value, dict):
            return {}, []
        places = inputs.secret_places(program.schema, value)
        return value, [each for each in places if _names(pointer.pick(value, each))]

    async def _given(self, seen: Seen, named: list[str]) -> dict[str, str]:
        """The texts of sealed secrets, by their references in the input."""
        if not named:
            return {}
        texts = await self._sealed.texts(seen.uid)
        if any(each.removeprefix(SCHEME) not in texts for each in named):
            # Whoever made the run was stopped before it could say what UID it got.
            await self._sealed.bind(seen.uid, *seen.key, seen.raw["spec"])
            texts = await self._sealed.texts(seen.uid)
        for each in named:
            if each.removeprefix(SCHEME) not in texts:
                raise SecretUnavailable(words(each.removeprefix(SCHEME)))
        return {each: texts[each.removeprefix(SCHEME)] for each in named}

    async def _read(self, namespace: str, reference: SecretKeyRef) -> Json:
        name, key = reference.name, reference.key
        try:
            return await self._cluster.get(SECRETS, namespace, name)
        except NotFound:
            words = (
                f'There is no Secret "{name}" in namespace {namespace} (key "{key}"); to create '
                f"it, run: kubectl create secret generic {name} -n {namespace} "
                f"--from-literal={key}=VALUE"
            )
            raise SecretUnavailable(words) from None
        except Refused as error:
            if error.status != 403:
                raise
            raise SecretUnavailable(self._forbidden(namespace, reference)) from None

    def _forbidden(self, namespace: str, reference: SecretKeyRef) -> str:
        name, key = reference.name, reference.key
        role = f"mayfly-secret-{name}"
        return (
            f'The gateway may not read Secret "{name}" in namespace {namespace} (key "{key}"); '
            f"to allow it, run: "
            f"kubectl create role {role} -n {namespace} --verb=get --resource=secrets "
            f"--resource-name={name} && kubectl create rolebinding {role} -n {namespace} "
            f"--role={role} --serviceaccount={self._account}"
        )


def _names(value: object) -> bool:
    """Whether this is a reference to a secret; the agent checks all other text."""
    return isinstance(value, dict) or (
        isinstance(value, str) and inputs.SEALED.fullmatch(value) is not None
    )


def _reference(value: Json) -> SecretKeyRef:
    """A reference in an input, checked again: large inputs do not pass through the controller.

    Raises:
        SecretUnavailable: it is not valid.
    """
    problem = inputs.wrong_reference(value)
    if problem:
        raise SecretUnavailable(f"A secret of the input {problem}.")
    return SecretKeyRef.model_validate(value["secretKeyRef"])


def _value(secrets: dict[str, Json], namespace: str, reference: SecretKeyRef) -> str:
    name, key = reference.name, reference.key
    data = secrets[name].get("data") or {}
    if key not in data:
        patch = json.dumps({"stringData": {key: "VALUE"}})
        words = (
            f'Secret "{name}" in namespace {namespace} has no key "{key}"; to add it, run: '
            f"kubectl patch secret {name} -n {namespace} -p '{patch}'"
        )
        raise SecretUnavailable(words)
    raw = base64.b64decode(data[key])
    where = f'Key "{key}" of Secret "{name}" in namespace {namespace}'
    if len(raw) > MAX_VALUE_BYTES:
        raise SecretUnavailable(f"{where} has more than {MAX_VALUE_BYTES // 1024} KiB.")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise SecretUnavailable(f"{where} is not text; encode binary data in base64.")
    return text


def _check(environment: dict[str, str], given: list[str]) -> None:
    every = [*environment.values(), *given]
    total = sum(len(each.encode("utf-8", "surrogatepass")) for each in every)
    if total > MAX_TOTAL_BYTES:
        raise SecretUnavailable("The run's secrets have more than 1 MiB together.")
