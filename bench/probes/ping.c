/*
 * Sends SIGUSR1 to a process and waits for the answer, COUNT times.
 *
 *     ping PID COUNT PAUSE
 *
 * stdin has the answers, one byte each, and one byte before the first (see answer.c). The program sleeps PAUSE
 * microseconds before each signal. It prints one line for each: the nanoseconds from before kill(2) until after the
 * answer was read. If an answer does not come, SIGALRM ends the program.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE = 10 };	/* seconds */

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: ping PID COUNT PAUSE\n");
		return 2;
	}
	pid_t pid = atoi(argv[1]);
	int count = atoi(argv[2]), pause = atoi(argv[3]);
	char byte;
	long long *taken = calloc(count, sizeof *taken);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!taken || read(STDIN_FILENO, &byte, 1) != 1)
		return 1;
	for (int i = 0; i < count; i++) {
		usleep(pause);
		alarm(PATIENCE);
		long long sent = now();
		if (kill(pid, SIGUSR1) == -1) {
			perror("ping: kill");
			return 1;
		}
		if (read(STDIN_FILENO, &byte, 1) != 1) {
			fprintf(stderr, "ping: signal %d was not answered\n", i + 1);
			return 1;
		}
		taken[i] = now() - sent;
	}
	for (int i = 0; i < count; i++)
		printf("%lld\n", taken[i]);
	return 0;
}
