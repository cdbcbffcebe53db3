"""Frozen data only: the snapshot of a lab and everything that it is made of."""
