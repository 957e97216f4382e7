"""Triggers: the waits in the triggerer."""
