"""The controller: kopf's watches feed a keyed queue; workers gather, plan and execute."""
