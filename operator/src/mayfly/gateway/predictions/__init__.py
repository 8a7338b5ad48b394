"""The API resource `prediction`: created, found, shown, streamed, and told to webhooks."""
