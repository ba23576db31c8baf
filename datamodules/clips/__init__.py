"""Sets of clips: what splits are made of, in arrays, in pieces of recordings and in shards, and how they divide."""
