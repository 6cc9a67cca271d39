"""What RLlib, and our way through it, add to environments and a model that cost next to nothing."""
