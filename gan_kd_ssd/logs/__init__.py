"""Training logs: records, the text and JSON writers, the parser, comparison and plots.

Works without MXNet. ``gan-kd logs --help`` lists the commands.
"""
