/*
 * Sends signals to a process, at random moments.
 *
 *     send PID SEED COUNT PAUSE SIGNAL...
 *
 * Sends COUNT signals, each drawn from the SIGNALs: a real-time signal by sigqueue(3), others by kill(2). Before each
 * it sleeps up to PAUSE microseconds; with a PAUSE of 0 it does not sleep. Then prints a line "sent SIGNAL COUNT LAST
 * ...": how often each was sent, and the time just before the last one, in nanoseconds of the monotonic clock.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	static long counts[65];
	static long long last[65];
	sigset_t all;
	char answer[4096];

	if (argc < 6)
		return 2;
	pid_t pid = atoi(argv[1]);
	unsigned int seed = strtoul(argv[2], NULL, 10);
	int count = atoi(argv[3]), pause = atoi(argv[4]);

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);	/* --forward-to=all sends signals to us, too */
	for (int i = 0; i < count; i++) {
		int number = atoi(argv[5 + rand_r(&seed) % (argc - 5)]), failed;

		if (pause)
			usleep(rand_r(&seed) % pause);
		last[number] = now();
		do {
			/* If the queue is full, sigqueue fails with EAGAIN, while kill(2) would merge signals. */
			if (number >= SIGRTMIN)
				failed = sigqueue(pid, number, (union sigval){ .sival_int = i });
			else
				failed = kill(pid, number);
		} while (failed && errno == EAGAIN && usleep(1000) == 0);
		if (failed) {
			perror("send");
			return 1;
		}
		counts[number]++;
	}
	int length = sprintf(answer, "sent");
	for (int number = 1; number < 65; number++)
		if (counts[number])
			length += sprintf(answer + length, " %d %ld %lld", number, counts[number], last[number]);
	answer[length++] = '\n';
	return write(STDOUT_FILENO, answer, length) != length;	/* in one piece: the listener writes there, too */
}
