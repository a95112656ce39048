"""A task in, its output and its log out: the port to whatever executes tasks, and its adapters."""
