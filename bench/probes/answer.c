/*
 * A workload that answers each SIGUSR1 with a byte on stdout. It first writes one byte when it is ready.
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
	sigprocmask(SIG_BLOCK, &awaited, NULL);	/* sigwait(3) is faster than a handler */
	do {
		if (write(STDOUT_FILENO, "", 1) != 1)
			return 1;	/* the reader has exited */
		sigwait(&awaited, &received);
	} while (received == SIGUSR1);
	return 0;
}
