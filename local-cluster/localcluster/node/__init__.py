"""The parts of the local cluster: its processes, network and certificates on this host."""
