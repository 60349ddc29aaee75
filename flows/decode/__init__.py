"""Decoders: bytes → columns, one wire format a file; `batch.py` has the columns."""
