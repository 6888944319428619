"""The control plane: Faust agents, one decision a message."""
