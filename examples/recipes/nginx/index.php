<?php
// A slow page: /?3 sends half of the answer at once, and the rest three seconds later.
$end = microtime(true) + (float) $_SERVER["QUERY_STRING"];
header("Content-Type: text/plain");
header("Content-Length: 14");
echo "hello\n";
ob_get_level() && ob_end_flush();
flush();
while (microtime(true) < $end) {
    usleep(10000);
}
echo "goodbye\n";
