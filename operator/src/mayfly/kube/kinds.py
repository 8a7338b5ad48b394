"""The API paths of every kind that Mayfly uses."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Kind:
    """A kind's place in the Kubernetes API."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As in a manifest: group/version, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, sub: str | None = None) -> str:
        """The URL path of an object, or of the list in a namespace or everywhere."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, sub) if part]
        return "/".join(parts)


RUNS = Kind("mayfly.dev", "v1alpha1", "pipelineruns", "PipelineRun")
PIPELINES = Kind("mayfly.dev", "v1alpha1", "pipelines", "Pipeline")
VERSIONS = Kind("mayfly.dev", "v1alpha1", "pipelineversions", "PipelineVersion")
RUNTIMES = Kind("mayfly.dev", "v1alpha1", "pipelineruntimes", "PipelineRuntime", namespaced=False)
MODELS = Kind("mayfly.dev", "v1alpha1", "models", "Model")
PODS = Kind("", "v1", "pods", "Pod")
SECRETS = Kind("", "v1", "secrets", "Secret")
NAMESPACES = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
NETWORK_POLICIES = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
CLUSTER_ROLES = Kind(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False
)
LEASES = Kind("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Kind("events.k8s.io", "v1", "events", "Event")
TOKEN_REVIEWS = Kind("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
ACCESS_REVIEWS = Kind(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
