"""From comparisons to a verdict that a build can stop at, and the baselines that candidates are held against."""
