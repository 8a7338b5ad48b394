"""The schema's revisions, one file each in `versions`; `mayfly.database.schema` applies them."""
