"""Usage and cost: pure arithmetic in `pricing`, storage in `ledger` and `records`."""
