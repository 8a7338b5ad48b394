"""The schema's revisions, one file each in `versions`; `mayfly.metering.schema` applies them."""
