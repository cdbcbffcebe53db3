"""What happens to research: lab state, experiments, leases, verdicts, policy.

Imports `sessions` only.
"""
