"""Two runs, document by document: which is better, by how much, and how sure that is."""
