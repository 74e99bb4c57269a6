/*
 * The workload that answers each SIGUSR1 with a byte on stdout; one byte in advance says that it listens.
 * SIGTERM ends it.
 */
#include <signal.h>
#include <unistd.h>

int main(void)
{
	sigset_t awaited;
	int received = SIGUSR1;

	sigemptyset(&awaited);
	sigaddset(&awaited, SIGUSR1);
	sigaddset(&awaited, SIGTERM);
	sigprocmask(SIG_BLOCK, &awaited, NULL);	/* waited for, not handled: the shortest way to an answer */
	do {
		if (write(STDOUT_FILENO, "", 1) != 1)
			return 1;	/* the asker has gone */
		sigwait(&awaited, &received);
	} while (received == SIGUSR1);
	return 0;
}
