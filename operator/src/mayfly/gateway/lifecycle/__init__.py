"""The states of a prediction, and what a change of state sets off; for runs and calls alike."""
