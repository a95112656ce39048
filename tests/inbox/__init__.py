"""Whether a watched folder loses or doubles anything: files dropped in every way there is, while watchers and server are killed."""
