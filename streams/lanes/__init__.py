"""The data plane: batches of messages in columns."""
