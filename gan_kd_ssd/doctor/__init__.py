"""What this machine has of what the project needs: ``gan-kd doctor``.

Nothing here imports MXNet in its own process: whatever is broken is found in another one.
"""
