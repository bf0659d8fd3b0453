"""Delivery under fire: writers, workers and brokers as processes, a sandbox that loses, refuses and delays, and a judge
who holds every label against the sandbox's own record.
"""
