/* The workload that answers each SIGUSR1 with a byte on stdout; one byte in advance says that it listens. */
#include <signal.h>
#include <unistd.h>

int main(void)
{
	sigset_t awaited;
	int received;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGUSR1);
	sigprocmask(SIG_BLOCK, &awaited, NULL);	/* waited for, not handled: the shortest way to an answer */
	do {
		if (write(STDOUT_FILENO, "", 1) != 1)
			return 1;	/* the asker has gone */
	} while (sigwait(&awaited, &received) == 0);
	return 1;
}
