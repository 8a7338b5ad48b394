"""Whether the tree below a root is over, asked of the API server: nothing of it is remembered."""

from __future__ import annotations

from mayfly.api.v1alpha1 import PipelineRun
from mayfly.api.v1alpha1.identity import run_id
from mayfly.api.v1alpha1.names import ROOT_LABEL, UNFINISHED
from mayfly.kube.client import Cluster
from mayfly.kube.kinds import RUNS


async def tree_finished(cluster: Cluster, root: PipelineRun) -> bool:
    """Whether every run below a root that is itself finished has ended and is recorded.

    A run that nobody has looked at yet has no rootRef in its status, but each has the label from
    birth; a label may be taken off by hand, which the field can't. One item of either is enough.

    Raises:
        KubeError: the API server could not be asked.
    """
    namespace = root.metadata.namespace
    label = f"{ROOT_LABEL}={run_id(root.metadata.uid)}"
    page = await cluster.list(
        RUNS, namespace, label_selector=label, field_selector=UNFINISHED, limit=1
    )
    if page.get("items"):
        return False
    field = f"status.rootRef.uid={root.metadata.uid},{UNFINISHED}"
    page = await cluster.list(RUNS, namespace, field_selector=field, limit=1)
    return not page.get("items")
