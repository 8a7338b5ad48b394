"""The parts of the local cluster on this host: processes, network, certificates."""
