#!/bin/sh
# The main process of the container: an entrypoint without `exec`, as many images have.
work="python3 $(dirname "$0")/work.py"

$work daemon
$work master &
$work application | tee app.log
