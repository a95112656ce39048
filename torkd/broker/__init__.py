"""Messages in, the same messages out, in another thread or process: the port to a broker, and its adapters."""
