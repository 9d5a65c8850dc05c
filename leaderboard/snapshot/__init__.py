"""The leaderboard as files: static pages that need no server, no script from elsewhere and no network."""
