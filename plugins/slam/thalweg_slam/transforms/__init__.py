"""Preparation of pose graphs."""
