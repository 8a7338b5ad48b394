"""The agent: PID 1 of a run pod. Standard library only."""
