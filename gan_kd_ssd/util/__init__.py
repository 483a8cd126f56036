"""Helpers that know nothing of the method: files, downloads, tables, errors, and the import of MXNet."""
