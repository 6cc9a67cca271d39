"""What rewards, votes and estimators change in learning: one first policy, and arms that start from it."""
