"""The rights of a person, decided and worded (S17 to S24). Pure: knows no clock, key or store."""
