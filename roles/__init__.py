"""Who the agents are: their prompts, their loops, and the backends that think for them.

Imports `supervisor` and `sessions`.
"""
