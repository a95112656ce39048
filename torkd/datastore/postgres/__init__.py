"""The datastore on PostgreSQL: in come batches and questions, out go SQL statements, and rows come back."""
