"""The rights of a person (S17 to S24): from what they ask to the answer. Loops need [rights]."""
