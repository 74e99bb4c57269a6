#!/bin/sh
# The main process of the container: a start script without `exec`, as in many images.
work="python3 $(dirname "$0")/work.py"

$work daemon
$work master &
$work application | tee app.log
