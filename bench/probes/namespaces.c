/*
 * A workload of many containers.
 *
 *     namespaces COUNT MEMBERS
 *
 * Starts COUNT PID namespaces of MEMBERS processes each. Prints "ready" when all have been started, and sleeps until
 * the end of its stdin.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[1]) : 0, members = argc == 3 ? atoi(argv[2]) : 0, ready[2];
	char byte;

	if (pipe(ready))
		return 1;
	for (int i = 0; i < count; i++) {
		switch (syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0)) {
		case -1:
			perror("namespaces");
			return 1;
		case 0:
			for (int n = 1; n < members && fork(); n++)
				;
			close(ready[0]);
			close(ready[1]);
			for (;;)
				pause();
		}
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 0) /* the end: each has closed its copy */
		return 1;
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
