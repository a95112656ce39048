"""Comes in: a folder that job files appear in. Goes out: each distinct content submitted once, and what became of it."""
