"""The command line: one program with a command for each task."""
