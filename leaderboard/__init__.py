"""The leaderboard: pages over stored runs. It reads records, samples and the index; never the engine, and no torch."""
