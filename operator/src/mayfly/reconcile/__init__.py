"""The planner: what to do next, decided from what was observed. Pure: no clock, no network.

`plan_run`, `plan_pipeline` and `plan_runtime` read top-down as checks in order; the first one
that has something to say wins. `controller.execute` carries plans out; nothing else writes.
"""
