"""The API resource `prediction`: create, find, show, cancel, stream, deliver webhooks."""
