"""The format of training logs: records, writers and parsers. Imports no MXNet."""
