"""The harness: suites are expanded to runs, runs become records, records become leaderboards."""

__version__ = "0.1.0"
