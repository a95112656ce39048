"""What is counted comes in from batches and requests; out goes the text that Prometheus reads."""
