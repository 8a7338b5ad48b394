"""Runs of Pipelines: from the claimed pod to the recorded end.

rows           the ledger row of a run
steps          decides the next step from what is known (pure)
gather         reads what is known of a run; writes nothing
dispatcher     carries the steps out
opening        opens the ledger row of a run and pins its prices
recorder       starts, journals, ends and closes a prediction
status         the PipelineRun's status as the gateway writes it (pure)
status_writer  writes it
work           the message that a pod's agent needs to execute a run
messages       all messages from and to agents
sessions       the connections of agents
agents         handles messages from agents
bursts         groups messages that have arrived together
reports        stores what agents report, a burst in one transaction
trees          children, costs and open runs of a tree
active_time    when main() began and ended, from timestamps of two clocks
pod_secrets    the session secret of each pod
routes         the agents' WebSocket and file transfers
"""
