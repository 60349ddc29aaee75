"""Seeded traffic from scenario files: recordings whose truth is known."""
