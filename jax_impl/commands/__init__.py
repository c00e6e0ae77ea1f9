"""The command line: one file per command, with its options, what it runs and what it prints."""
