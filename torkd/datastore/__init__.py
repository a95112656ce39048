"""In come changes, out come the rows that decisions and answers need: the one truth about every job."""
