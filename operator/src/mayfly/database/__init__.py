"""The SQL database of the gateway: its engine and transactions, schema revisions, and backups."""
