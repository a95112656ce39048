"""Faults of every kind under a steady load of jobs, and the invariants that hold after each round of them."""
