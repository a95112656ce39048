"""Everything on stdout: values come in, text goes out as a table, names, JSON, JSON lines or YAML."""
