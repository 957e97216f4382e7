"""Operators: detect, reconcile, report."""
