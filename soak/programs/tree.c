/*
 * A workload that grows random trees of processes.
 *
 *     tree
 *
 * Prints "ready" when it runs. For each line "SEED COUNT" on stdin it starts COUNT descendants in a random tree, waits
 * until the last of them has exited, and prints "FORKED WAITED": the number of descendants since the start, and the
 * number of those that a process other than PID 1 has waited for. The others were orphans. Exits with status 7 at the
 * end of its stdin.
 *
 * Each descendant behaves at random: it may start a session or a group, be a subreaper, or exec. It waits for some of
 * its children, at different times. It exits before or after them, by itself or by a signal. A leaf may have a thread
 * that outlives the thread group leader, or may ask its parent at that time to trace it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_CHILDREN = 8, LONGEST_SLEEP = 10000 };

struct shared {
	atomic_long forked, waited;
};
static struct shared *shared;
static unsigned int seed;
static sigset_t all;

static int one_in(int n)
{
	return rand_r(&seed) % n == 0;
}

/* --orphans=terminate may kill us at any time, so block its signal between a call and the counting of that call. */
static pid_t start(void)
{
	unsigned int next = rand_r(&seed);
	pid_t pid;

	sigprocmask(SIG_BLOCK, &all, NULL);
	while ((pid = fork()) == -1)
		usleep(1000);	/* EAGAIN: wait until PID 1 has caught up */
	if (pid == 0)
		seed = next;
	else
		atomic_fetch_add(&shared->forked, 1);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	return pid;
}

static int wait_for(pid_t pid)
{
	sigprocmask(SIG_BLOCK, &all, NULL);
	pid_t found;
	while ((found = waitpid(pid, NULL, 0)) == -1 && errno == EINTR)
		;
	if (found > 0)
		atomic_fetch_add(&shared->waited, 1);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	return found > 0;
}

static void *outlive(void *unused)
{
	usleep(rand_r(&seed) % LONGEST_SLEEP);
	return unused;
}

static void end(void)
{
	static const int deadly[] = { SIGKILL, SIGTERM, SIGHUP, SIGPIPE, SIGUSR1 };

	if (one_in(3))
		usleep(rand_r(&seed) % LONGEST_SLEEP);
	if (one_in(4))
		raise(deadly[rand_r(&seed) % 5]);
	_exit(rand_r(&seed) % 256);
}

static void be_leaf(void)
{
	char number[16];
	pthread_t thread;

	switch (rand_r(&seed) % 40) {
	case 0: case 1: case 2: case 3:
		snprintf(number, sizeof number, "%u", seed);
		execl("/proc/self/exe", "tree", number, NULL);
		break;
	case 4: case 5:
		if (pthread_create(&thread, NULL, outlive, NULL) == 0)
			pthread_exit(NULL);
		break;
	case 6:
		/* Only PID 1 continues a traced child; any other parent would leave it stopped. */
		for (int i = 0; i < 50 && getppid() != 1; i++)
			usleep(1000);
		if (getppid() == 1 && ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
			raise(one_in(2) ? SIGTRAP : SIGUSR2);
		break;
	}
	end();
}

static void grow(int count)
{
	pid_t later[MOST_CHILDREN];
	int left = 0;

	if (one_in(8))
		setsid();
	else if (one_in(8))
		setpgid(0, 0);
	int is_subreaper = one_in(20) && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
	if (count == 0)
		be_leaf();
	for (int children = 1; count > 0; children++) {
		int share = children == MOST_CHILDREN ? count : 1 + rand_r(&seed) % count;
		pid_t pid = start();

		if (pid == 0) {
			grow(share - 1);
			end();
		}
		count -= share;
		switch (rand_r(&seed) % 4) {
		case 0:
			wait_for(pid);
			break;
		case 1:
			later[left++] = pid;
			break;
		}	/* otherwise this process never waits for it */
	}
	if (one_in(2))
		usleep(rand_r(&seed) % LONGEST_SLEEP);
	while (left > 0)
		wait_for(later[--left]);
	if (is_subreaper && one_in(2))
		while (wait_for(-1))
			;
}

int main(int argc, char **argv)
{
	struct rlimit none = { 0, 0 };
	int count, ends[2];
	char byte;

	setrlimit(RLIMIT_CORE, &none);
	if (argc == 2) {	/* a leaf, after exec */
		seed = strtoul(argv[1], NULL, 10);
		end();
	}
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	sigfillset(&all);
	puts("ready");
	fflush(stdout);
	while (scanf("%u %d", &seed, &count) == 2) {
		if (pipe(ends) == -1)	/* every descendant inherits the writing end */
			return 1;
		pid_t pid = start();
		if (pid == 0) {
			close(ends[0]);
			grow(count - 1);
			end();
		}
		close(ends[1]);
		wait_for(pid);
		while (read(ends[0], &byte, 1) == -1 && errno == EINTR)
			;
		close(ends[0]);
		printf("%ld %ld\n", atomic_load(&shared->forked), atomic_load(&shared->waited));
		fflush(stdout);
	}
	return 7;
}
