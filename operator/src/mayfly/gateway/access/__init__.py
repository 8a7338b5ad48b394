"""Access control: authentication, authorization, rate limits, signing key."""
