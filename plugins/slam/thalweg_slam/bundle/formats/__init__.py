"""Readers of bundles."""
