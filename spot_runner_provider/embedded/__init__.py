"""An AWS in one process, for the demo and the tests.

DynamoDB, SSM and STS are moto's, Image Builder is a backend here.

``with EmbeddedAws() as aws:`` (:mod:`.server`) starts it, :mod:`.demo` has what fills it, and
``python -m spot_runner_provider.embedded`` does both in a process of its own. Needs ``moto[server]``.

In the examples ``aws`` is one that was started, with an empty state table.
"""
