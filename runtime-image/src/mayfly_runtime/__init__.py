"""What runs in a run pod, in three rooms: `agent` (PID 1), `worker`, and the `spec` under both.

Standard library only. The operator imports `mayfly_runtime.spec` and nothing else, which a contract
of import-linter holds. The wire and the pod are described in `runtime-image/README.md`.
"""
