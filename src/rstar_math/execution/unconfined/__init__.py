"""Execution without isolation, for systems that have no sandbox: not a security boundary."""
