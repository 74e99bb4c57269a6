/*
 * A workload that leaves many orphans.
 *
 *     storm
 *
 * Prints "ready" when it runs. For each line "COUNT SIBLINGS" on stdin it starts parents, as fast as it can. Each
 * leaves SIBLINGS orphans, COUNT in all. The program waits until PID 1 has reaped the last orphan, and prints two
 * figures: the nanoseconds until then from the first fork, and from the moment when the last parent left its orphans.
 * It exits at the end of its stdin.
 *
 * How it can tell that an orphan was reaped: a pipe that the orphans inherit would show that they exited, but not
 * that they were reaped; sysinfo(2) and the links of /proc count the whole machine; a pids cgroup needs a writable
 * hierarchy. But kill(pid, 0) succeeds for a zombie, and fails with ESRCH once it was reaped. So the program records
 * the pids, and checks each of them when the storm is over. That takes 0.2 us for a reaped one. It is correct as long
 * as no pid is reused meanwhile: the kernel assigns pids in turn, so orphans and parents together must stay below
 * pid_max, 32768 by default.
 *
 * It uses vfork(2): a fork copies page tables, which takes as long as a dozen reaps, so the storm would measure itself.
 * With vfork(2) each orphan is a zombie before its parent exits, and PID 1 inherits a zombie.
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

/* Shared by the three generations: vfork(2) does not copy memory. */
static volatile pid_t orphans[MOST];
static volatile long long left;

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/*
 * EAGAIN: a limit is reached until PID 1 has caught up, or for ever if the limit is below SIBLINGS, since none of
 * them is an orphan yet. It is a macro because a function must not return after it has called vfork(2).
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

	prctl(PR_SET_TIMERSLACK, 1);	/* otherwise a sleep of 20 us takes 70 us */
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
