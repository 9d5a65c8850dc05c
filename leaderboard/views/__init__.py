"""One script a page; each draws, and leaves what it computes to the modules above."""
