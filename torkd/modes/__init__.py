"""What `torkd run` runs: settings come in, a daemon that serves until it is told to stop goes out; a module a mode."""
