"""Radar and satellite rain as services write it: one module per format, one header for all."""
