"""The planner: decides what to do next from what was observed. Pure: no clock, no network.

`plan_run`, `plan_pipeline` and `plan_runtime` are checks in order, read top-down; the first check
that applies wins. `controller.execute` carries plans out; nothing else writes.
"""
