"""`python -m thalweg`."""

from __future__ import annotations

from .cli import main

main()
