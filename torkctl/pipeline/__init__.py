"""What a build server gets: jobs that were waited for come in; a JUnit file, annotations and a summary go out."""
