"""In come HTTP requests, out go JSON answers and live streams."""
