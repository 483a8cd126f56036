"""Helpers that are independent of the method: files, downloads, tables, errors, and the import of MXNet."""
