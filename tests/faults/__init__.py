"""Faults put into real runs, counted: ``make test-faults`` prints what was lost, hung, silent or raw."""
