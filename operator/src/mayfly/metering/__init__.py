"""What a run used and what it costs: pure arithmetic in `usage`, the store in `ledger`."""
