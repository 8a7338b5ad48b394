"""The gateway: the public HTTP API, the agents' WebSocket, the ledger."""
