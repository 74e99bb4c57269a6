# Starts a daemon and a short task in the background, each from a subshell that exits: both are orphans at once.
(python3 /app/service.py helper &)
(sleep 0.1 &)
exec python3 /app/service.py worker
