"""What a pipeline declares, and what follows from it: schema, inputs, redaction.

The one room that the operator imports too. Standard library only, and no I/O.
"""
