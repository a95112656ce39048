"""In come what is and what happened, out goes what to do. Nothing here reads, writes or looks at a clock."""
