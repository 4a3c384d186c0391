"""Every figure in the README, as commands that anyone can run."""
