"""What Prometheus is told of the gateway."""
