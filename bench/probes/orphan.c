/*
 * The workload that leaves one orphan at a time, and sees how long PID 1 takes to reap it.
 *
 *     orphan PAUSE
 *
 * "ready" on stdout says that it runs. Then, for each line COUNT on stdin: leaves COUNT orphans, each PAUSE
 * microseconds after the one before it has gone, and answers with a line of COUNT figures: nanoseconds from
 * just before the parent of an orphan that is already a zombie ends until the orphan has been reaped. Ends with its stdin.
 *
 * It looks without a pause, since a sleep is as long as what is measured (see storm.c for how it knows), and so takes a
 * processor for itself: PID 1 and all others keep to the rest. Else PID 1 may be woken where we run, and wait for our
 * slice of time, milliseconds, to end.
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

static cpu_set_t rest;	/* of the processors */

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* EINVAL, where there is but one processor, is fine: all share it. */
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
	waitid(P_PID, orphan, &ended, WEXITED | WNOWAIT);	/* seen, and left a zombie */
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
