"""Hooks: the only part of the provider that calls AWS.

In the examples the connection ``aws_default`` leads to ``aws``, an embedded AWS with three presets: the builds of
``linux-x64`` (ended well) and ``linux-arm64`` (failed) lost their events, ``windows-2022`` is ready.
"""
