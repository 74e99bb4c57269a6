/*
 * A workload that counts the signals it receives.
 *
 *     listen MEMBERS
 *
 * This process and MEMBERS children, all in one process group, block every signal and read them from a signalfd. It
 * prints "ready" when they have started. Then, for each line on stdin:
 *
 *     report        prints a line "SIGNAL COUNT LAST ..." for each listener, with three figures for each signal received:
 *                   its number, its count, and the time of the last one in nanoseconds of the monotonic clock; then
 *                   "descents N": how often the first listener received a real-time signal after one with a higher number
 *     send ARGS...  starts `send 1 ARGS...` (send.c), which writes its answer to stdout
 *
 * A SIGCHLD from the kernel is not counted. Exits with status 9 at the end of its stdin.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 16, SIGNALS = 65 };

struct heard {
	volatile long count[SIGNALS];
	volatile long long last[SIGNALS];
	volatile long descents;
	volatile int previous;
};
static struct heard *heard;

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void hear(struct heard *self, int source)
{
	struct signalfd_siginfo info;

	if (read(source, &info, sizeof info) != sizeof info)
		return;
	int number = info.ssi_signo;
	if (number == SIGCHLD && info.ssi_code > 0) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		return;
	}
	self->last[number] = now();
	if (number >= SIGRTMIN) {
		self->descents += number < self->previous;
		self->previous = number;
	}
	self->count[number]++;
}

static void report(int listeners)
{
	for (int i = 0; i < listeners; i++) {
		for (int number = 1; number < SIGNALS; number++)
			if (heard[i].count[number])
				printf("%d %ld %lld ", number, heard[i].count[number], heard[i].last[number]);
		printf("\n");
	}
	printf("descents %ld\n", heard[0].descents);
	fflush(stdout);
}

static void start_sender(char *path, char *words)
{
	char *argv[MOST] = { "send", "1" };
	int count = 2;

	for (char *word = strtok(words, " \n"); word && count < MOST - 1; word = strtok(NULL, " \n"))
		argv[count++] = word;
	if (fork() == 0) {
		execv(path, argv);
		_exit(127);
	}
}

int main(int argc, char **argv)
{
	int members = argc == 2 ? atoi(argv[1]) : 0;
	char path[4096], line[4096];
	sigset_t all;

	heard = mmap(NULL, (members + 1) * sizeof *heard, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 8);
	if (heard == MAP_FAILED || length < 6)
		return 1;
	strcpy(path + length - 6, "send");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	int source = signalfd(-1, &all, 0);
	for (int i = 1; i <= members; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				hear(&heard[i], source);
		}
	setvbuf(stdin, NULL, _IONBF, 0);	/* poll(2) does not see what is left in a buffer */
	puts("ready");
	fflush(stdout);
	struct pollfd sources[2] = { { .fd = source, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	for (;;) {
		if (poll(sources, 2, -1) == -1)
			continue;
		if (sources[0].revents) {
			hear(&heard[0], source);
			continue;
		}
		if (!fgets(line, sizeof line, stdin))
			return 9;
		if (!strncmp(line, "send ", 5))
			start_sender(path, line + 5);
		else
			report(members + 1);
	}
}
