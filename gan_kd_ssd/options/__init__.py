"""The command lines.

They import the standard library alone, so that ``--help`` is answered at once. Names may be written with
dashes or underscores. Options of the published logs' Namespace lines keep their name, their default and
their meaning; help texts say of every other choice whether it is published or inferred.
"""
