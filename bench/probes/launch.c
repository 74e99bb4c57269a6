/*
 * Runs a program as PID 1 of a new PID namespace, as a container engine does, and times it.
 *
 *     launch REPORT_FD [--beside] PROGRAM [ARG]...
 *
 * With --beside, PROGRAM is an ordinary process of our own PID namespace instead.
 * Writes two lines to REPORT_FD:
 *     the pid of the program, as seen from outside;
 *     after the program has been waited for: the time of its exec and the time after the wait, in nanoseconds of
 *     CLOCK_MONOTONIC, and its wait status.
 * On SIGTERM it kills the program, and with it everything in its namespace.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t contained;

static void end(int number)
{
	(void)number;
	if (contained)
		kill(contained, SIGKILL);
}

static void die(const char *attempt)
{
	fprintf(stderr, "launch: %s: %s\n", attempt, strerror(errno));
	_exit(125);
}

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Runs in the new namespaces: mounts their /proc, waits for the go, and execs the program. */
static void become(char **command, int go, long long *started)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);	/* if launch is killed, the namespace ends too */
	setsid();	/* as container engines do; it also makes a new autogroup of the scheduler (sched(7)) */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1)
		die("making the mounts private");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == -1)
		die("mounting /proc");
	if (read(go, &byte, 1) != 1)
		_exit(125);
	*started = now();
	execv(command[0], command);
	die(command[0]);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: launch REPORT_FD PROGRAM [ARG]...\n");
		return 125;
	}
	char **command = argv + 2;
	int namespaces = CLONE_NEWNS | CLONE_NEWPID;
	if (strcmp(*command, "--beside") == 0) {
		command++;
		namespaces = CLONE_NEWNS;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int report = atoi(argv[1]);
	if (fcntl(report, F_SETFD, FD_CLOEXEC) == -1)
		die("report descriptor");

	/* The child reads the clock before its exec. We read the value from a shared page. */
	long long *started = mmap(NULL, sizeof *started, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go[2];
	if (started == MAP_FAILED || pipe2(go, O_CLOEXEC) == -1)
		die("shared page and pipe");

	/* The raw call: glibc's clone() needs a stack, and we want fork(2) with namespaces. */
	pid_t pid = syscall(SYS_clone, namespaces | SIGCHLD, 0, 0, 0, 0);
	if (pid == -1)
		die("clone");
	if (pid == 0) {
		close(go[1]);
		become(command, go[0], started);
	}

	/*
	 * The last process of a mount namespace unmounts everything on exit, and waits for RCU: milliseconds that are
	 * not the init's fault. We keep the namespace open until we have read the clock.
	 */
	char path[64];

	contained = pid;
	signal(SIGTERM, end);
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	if (open(path, O_RDONLY | O_CLOEXEC) == -1)
		die(path);

	dprintf(report, "%d\n", pid);
	close(go[0]);
	if (write(go[1], "", 1) != 1)
		die("letting the program go");
	int status;
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			die("waitpid");
	long long ended = now();
	contained = 0;	/* the pid may be reused from now on */
	dprintf(report, "%lld %lld %d\n", *started, ended, status);
	return 0;
}
