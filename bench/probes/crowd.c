/*
 * A workload of many processes.
 *
 *     crowd COUNT ZOMBIES
 *
 * Starts COUNT children. The first ZOMBIES of them exit at once and are not waited for. Prints "ready" when all have
 * been started, and sleeps until the end of its stdin.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[1]) : 0, zombies = argc == 3 ? atoi(argv[2]) : 0;
	char byte;

	for (int i = 0; i < count; i++) {
		switch (fork()) {
		case -1:
			perror("crowd");
			return 1;
		case 0:
			if (i < zombies)
				_exit(0);
			for (;;)
				pause();
		}
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
