"""The command line: arguments come in, calls to the REST API go out; data on stdout, the rest on stderr, an exit code."""
