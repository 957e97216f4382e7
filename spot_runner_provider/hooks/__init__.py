"""Hooks: the only part of the provider that calls AWS.

In the examples, the connection ``aws_default`` leads to ``aws``, an embedded AWS with three presets. The events of
two builds got lost: ``linux-x64`` succeeded, ``linux-arm64`` failed. ``windows-2022`` is ready.
"""
