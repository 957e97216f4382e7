"""What a run costs: AWS calls, time and memory, each against a target. ``make bench`` runs it.

Ratios are taken within one run on one machine: absolute times are noise on a shared one.
"""
