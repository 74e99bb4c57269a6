# Starts a daemon and a short task in the background, in the way that makes them orphans at once.
(python3 /app/service.py helper &)
(sleep 0.1 &)
exec python3 /app/service.py worker
