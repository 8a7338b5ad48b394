"""The states of a prediction, and what a change of state triggers; for runs and calls."""
