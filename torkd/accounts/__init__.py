"""Who may do what: credentials come in, a caller with rights goes out. Knows neither HTTP nor SQL."""
