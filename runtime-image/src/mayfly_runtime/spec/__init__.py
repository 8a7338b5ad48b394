"""Pure parts shared with the operator: schema, inputs, redaction.

The one room that the operator imports too. Standard library only, and no I/O.
"""
