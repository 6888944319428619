"""Keys: one a case, wrapped for each department that may read it; without it nobody can (S2)."""
