"""The supervisor's process: the loop that alone starts runs, decides and moves branches."""
