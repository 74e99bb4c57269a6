"""What pyinit says: the log, the report at the end, the counters, zombies."""
