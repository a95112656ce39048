"""A file a verb: each reads its arguments, makes its calls and returns an exit code."""
