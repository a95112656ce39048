"""In come events from users, workers and the clock; out go changes, committed in batches with the messages they cause."""
