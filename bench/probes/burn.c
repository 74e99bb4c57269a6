/*
 * Keeps processors busy, a process for each.
 *
 *     burn COUNT
 *
 * "ready" on stdout says that all have been started. They end with the program, and that with whoever started it.
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
			if (getppid() != program)	/* ended before we asked to be told */
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
