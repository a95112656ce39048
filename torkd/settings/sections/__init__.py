"""The tables of the configuration file, a module for each group: in comes nothing, out go types with defaults."""
