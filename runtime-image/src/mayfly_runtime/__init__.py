"""What runs in a run pod: the agent (PID 1), its worker, and the rules both share.

Standard library only. `schema`, `inputs` and `check` are pure and are imported by the
operator too; the rest lives in the pod. The contract is in `runtime-image/README.md`.
"""
