"""Training logs: records, the text and JSON writers, the parser, comparison and plots.

Works without MXNet. ``python -m gan_kd_ssd.logs --help`` lists the commands.
"""
