/*
 * Keeps processors busy, with one process for each.
 *
 *     burn COUNT
 *
 * Prints "ready" when all have been started. They are killed when the program exits, and the program when its parent
 * exits.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int count = argc == 2 ? atoi(argv[1]) : 0;
	pid_t program = getpid();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < count; i++) {
		switch (fork()) {
		case -1:
			perror("burn");
			return 1;
		case 0:
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != program)	/* it exited before prctl */
				return 0;
			for (;;)
				;
		}
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
