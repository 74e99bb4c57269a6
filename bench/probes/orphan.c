/*
 * A workload that leaves one orphan at a time, and measures how long PID 1 takes to reap it.
 *
 *     orphan PAUSE
 *
 * Prints "ready" when it runs. For each line COUNT on stdin it leaves COUNT orphans, each PAUSE microseconds after
 * the previous one was reaped, and prints a line of COUNT figures: the nanoseconds from just before the parent of an
 * orphan exits until the orphan has been reaped. The orphan is already a zombie when its parent exits. The program
 * exits at the end of its stdin.
 *
 * It polls without a pause, since a sleep would take as long as the measured time (storm.c explains how it can tell
 * that an orphan was reaped). So it keeps one processor for itself, and PID 1 and all others use the rest. Otherwise
 * PID 1 could wake up on our processor, and would have to wait for the end of our time slice, which takes
 * milliseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct leaving {
	volatile long long at;
	volatile pid_t orphan;
};

static cpu_set_t rest;	/* all processors but ours */

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* EINVAL is fine: with only one processor, all processes share it. */
static void part_processors(void)
{
	cpu_set_t ours;
	int here = sched_getcpu();

	sched_getaffinity(0, sizeof rest, &rest);
	CPU_CLR(here, &rest);
	CPU_ZERO(&ours);
	CPU_SET(here, &ours);
	if (sched_setaffinity(1, sizeof rest, &rest) == 0)
		sched_setaffinity(0, sizeof ours, &ours);
}

static void leave_orphan(struct leaving *leaving)
{
	siginfo_t ended;
	pid_t orphan;

	sched_setaffinity(0, sizeof rest, &rest);
	orphan = fork();

	if (orphan == -1) {
		perror("orphan");
		leaving->at = -1;
		_exit(1);
	}
	if (orphan == 0)
		_exit(0);
	waitid(P_PID, orphan, &ended, WEXITED | WNOWAIT);	/* it has exited, and stays a zombie */
	leaving->orphan = orphan;
	leaving->at = now();
	_exit(0);
}

static long long measure(struct leaving *leaving)
{
	pid_t parent;

	leaving->at = 0;
	parent = fork();
	if (parent == 0)
		leave_orphan(leaving);
	if (parent == -1) {
		perror("orphan");
		exit(1);
	}
	while (!leaving->at)
		;
	if (leaving->at == -1)
		exit(1);
	while (kill(leaving->orphan, 0) == 0)
		;
	long long gone = now();
	while (waitpid(parent, NULL, 0) == -1 && errno == EINTR)
		;
	return gone - leaving->at;
}

int main(int argc, char **argv)
{
	int count, pause = argc == 2 ? atoi(argv[1]) : 0;
	struct leaving *leaving =
		mmap(NULL, sizeof *leaving, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (leaving == MAP_FAILED) {
		perror("orphan");
		return 1;
	}
	part_processors();
	puts("ready");
	fflush(stdout);
	while (scanf("%d", &count) == 1) {
		while (count-- > 0) {
			usleep(pause);
			printf("%lld ", measure(leaving));
		}
		puts("");
		fflush(stdout);
	}
	return 0;
}
