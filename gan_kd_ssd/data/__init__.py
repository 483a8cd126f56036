"""Data sets: their formats, batches, download, checks, and a generated one."""
