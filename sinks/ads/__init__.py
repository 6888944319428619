"""Ad providers: one file each, ``contract`` for what they have in common."""
