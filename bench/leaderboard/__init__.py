"""Leaderboards: records aggregated to rows, and the tables, plots and pages that show them."""
