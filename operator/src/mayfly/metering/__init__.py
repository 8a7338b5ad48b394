"""What a run used and what it costs: pure arithmetic in `pricing`, the store in `ledger`."""
