"""pyinit in real containers: each test runs on every base image."""
