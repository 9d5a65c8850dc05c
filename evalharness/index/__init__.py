"""A throw-away SQLite index over stored runs, for whoever asks many questions of many runs."""
