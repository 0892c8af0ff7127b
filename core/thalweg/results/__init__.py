"""What a run leaves for people: scores, report, figures, records."""
