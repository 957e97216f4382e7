"""An AWS in one process, for the demo and the tests.

DynamoDB, SSM and STS are moto's; Image Builder is a backend in this package.

``with EmbeddedAws() as aws:`` (:mod:`.server`) starts it, and :mod:`.demo` fills it. ``python -m
spot_runner_provider.embedded`` does both in its own process. Needs ``moto[server]``.

In the examples, ``aws`` is a started one with an empty state table.
"""
