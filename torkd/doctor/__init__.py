"""Comes in: what database, broker and host hold; goes out: what should never be, and its repair."""
