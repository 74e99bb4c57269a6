/*
 * The workload that leaves orphans behind.
 *
 *     storm
 *
 * "ready" on stdout says that it runs and sleeps. Then, for each line "COUNT SIBLINGS" on stdin: starts
 * parents, as fast as it can, that leave SIBLINGS orphans each, COUNT in all, waits until PID 1 has reaped
 * the last of them, and answers with two figures, in nanoseconds until then: from the first fork, and from the
 * moment when the last parent left its orphans. Ends with its stdin.
 *
 * How it knows: a pipe that the orphans inherit tells of their end, not of their being reaped;
 * sysinfo(2) and the links of /proc count the whole machine; a pids cgroup asks for a hierarchy that may
 * be written to. But kill(pid, 0) finds a zombie, and finds nobody (ESRCH) once it was reaped. So the pids
 * are noted, and when the storm is over each is asked for once, which takes 0.2 us where it has gone. That is
 * right as long as no pid is given out twice meanwhile: pids are given out in turn, so that orphans
 * and parents together must stay below pid_max, 32768 by default.
 *
 * vfork(2), since a fork copies page tables for as long as a dozen reaps take, and a storm that slow would
 * measure itself. It makes each orphan a zombie before its parent ends, and PID 1 gets it as one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 30000, TRIES = 100000 };	/* ten seconds */

/* Shared by the three generations: vfork gives them one memory. */
static volatile pid_t orphans[MOST];
static volatile long long left;

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/*
 * EAGAIN: a limit is reached until PID 1 has caught up; or for ever, where SIBLINGS are more than the limit allows,
 * since none of them is an orphan yet. A macro, for nobody may return from a vfork.
 */
#define INSIST(pid)								\
	for (volatile int tries = 0; ((pid) = vfork()) == -1; tries++) {	\
		if (tries == TRIES) {						\
			perror("storm: no process for ten seconds, pid_max?");	\
			_exit(1);						\
		}								\
		usleep(100);							\
	}

static void leave_orphans(int first, int next)
{
	volatile pid_t parent;

	INSIST(parent);
	if (parent == 0) {
		for (volatile int i = first; i < next; i++) {
			INSIST(orphans[i]);
			if (orphans[i] == 0)
				_exit(0);
		}
		left = now();
		_exit(0);
	}
	int status;
	while (waitpid(parent, &status, 0) == -1)
		if (errno != EINTR)
			exit(1);
	if (status)
		exit(1);
}

int main(void)
{
	int count, siblings;

	prctl(PR_SET_TIMERSLACK, 1);	/* or a sleep of 20 us lasts 70 */
	puts("ready");
	fflush(stdout);
	while (scanf("%d %d", &count, &siblings) == 2) {
		if (count < 1 || count > MOST || siblings < 1) {
			fprintf(stderr, "storm: 1 to %d orphans, with 1 sibling or more\n", MOST);
			return 2;
		}
		long long started = now();
		for (int i = 0; i < count; i += siblings)
			leave_orphans(i, i + siblings < count ? i + siblings : count);
		for (int i = 0; i < count; i++)
			while (kill(orphans[i], 0) == 0)
				usleep(20);
		long long gone = now();
		printf("%lld %lld\n", gone - started, gone - left);
		fflush(stdout);
	}
	return 0;
}
