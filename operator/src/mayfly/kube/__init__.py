"""Everything that talks to the Kubernetes API. Nothing else imports its client."""
