"""The networks: frames in, frames out, `(sample, time, y, x, channel)`. They need torch, and nothing of thalweg."""
