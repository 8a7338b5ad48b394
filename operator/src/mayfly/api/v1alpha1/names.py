"""Labels, annotations and selectors: every name that more than one module has to spell alike."""

from __future__ import annotations

INLINE = "(inline)"
"""Stands where a Pipeline's name would be, for a run that brings its own source: no Pipeline can
have this name. In kubectl, usage reports, FOCUS, metrics and the API."""

# Labels. On run pods, and all but RUN_ID_LABEL on the runs that the gateway makes.

RUN_ID_LABEL = "mayfly.dev/id"
"""The run's prediction id; `WAITING` on a pod that waits for a run. The controller watches pods
that have the label, and NetworkPolicies select them, whatever its value is."""

WAITING = "waiting"
"""Value of RUN_ID_LABEL on a pod that waits for a run. No prediction id is that short."""

PIPELINE_LABEL = "mayfly.dev/pipeline"
"""The Pipeline's name. On PipelineVersions too."""

VERSION_LABEL = "mayfly.dev/version"
"""The first ten digits of the version's id."""

ROOT_LABEL = "mayfly.dev/root"
"""The id of the tree's root. On run pods and on child runs."""

PARENT_LABEL = "mayfly.dev/parent"
"""The id of the run that made this one."""

DEPTH_LABEL = "mayfly.dev/depth"
"""The level in the tree: 1 for a root."""

# Annotations of pods and runs

RUNTIME_ANNOTATION = "mayfly.dev/runtime"
"""On a run pod: the PipelineRuntime that it counts against."""

TEMPLATE_ANNOTATION = "mayfly.dev/template"
"""On a pod that was made to wait for a run: the hash of what it was made of."""

CREATED_BY = "mayfly.dev/created-by"
"""On a run that the API has made: the name of who asked. For display only: whoever may change the
run may change this."""

CREATED_BY_LENGTH = 253
"""Characters of that name that are kept."""

CANCEL_AFTER = "mayfly.dev/cancel-after"
"""On a run: when the gateway cancels it unless it has ended (RFC 3339)."""

# Labels of namespaces

WARM_LABEL = "mayfly.dev/warm"
"""The PipelineRuntime whose pods wait for runs in the namespace."""

# Annotations of namespaces

BUDGET_MONTHLY = "mayfly.dev/budget-monthly"
"""What a namespace may spend in a calendar month (UTC): a decimal number as text."""

RETENTION = "mayfly.dev/retention"
"""How long what ended in a namespace can be read: a duration, or `forever`."""

MAX_ACTIVE_RUNS = "mayfly.dev/max-active-runs"
"""How many runs of a namespace may have a pod at one time."""

# Field selectors of PipelineRuns

UNFINISHED = "status.finished!=true"
"""Runs that have not ended, and those that have and are not recorded yet."""

FINISHED = "status.finished=true"
