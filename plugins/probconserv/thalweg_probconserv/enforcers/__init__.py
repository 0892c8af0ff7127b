"""Enforcers at the output site: each is one choice of covariance for the same solve."""
