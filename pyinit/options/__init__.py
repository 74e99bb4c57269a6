"""What was asked for: the command line and the environment, read into settings."""
