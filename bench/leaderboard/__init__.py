"""Leaderboards: records summed up to rows, and the tables, plots and pages that show them."""
