"""Sets of clips in arrays, in recordings and in shards, their division into splits, and the cache of arrays."""
