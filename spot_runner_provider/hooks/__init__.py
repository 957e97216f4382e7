"""Hooks: the only part of the provider that calls AWS."""
