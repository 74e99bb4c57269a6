/* A workload with NUMBER children, or grandchildren below a process that has the default action for SIGTERM.
 * `crowd NUMBER FILE (own|nested)`: they catch SIGTERM, count themselves in FILE, and exit. The workload says "ready"
 * when all catch it, and exits with 7 after a line on its standard input. */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile struct counts {
    long ready, asked;
    long left, first, last; /* microseconds, on the monotonic clock: exit of the first process, first and last SIGTERM */
} *counts;

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void asked(int number)
{
    long time = now(), before = counts->first;
    (void)number;
    while ((!before || time < before) && !__sync_bool_compare_and_swap(&counts->first, before, time))
        before = counts->first;
    for (before = counts->last; time > before; before = counts->last)
        if (__sync_bool_compare_and_swap(&counts->last, before, time)) break;
    __sync_fetch_and_add(&counts->asked, 1);
    _exit(0);
}

static void start(long number)
{
    struct sigaction action = {.sa_handler = asked};
    while (number-- > 0) {
        pid_t pid = fork();
        if (pid < 0) perror("crowd: fork"), exit(98);
        if (pid) continue;
        sigaction(SIGTERM, &action, NULL);
        __sync_fetch_and_add(&counts->ready, 1);
        for (;;) pause();
    }
}

int main(int words, char **word)
{
    char byte;
    long number = words == 4 ? atol(word[1]) : 0;
    int file = number ? open(word[2], O_RDWR | O_CREAT, 0666) : -1;
    if (file < 0 || ftruncate(file, sizeof *counts)) return 97;
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (counts == MAP_FAILED) return 96;
    if (strcmp(word[3], "nested")) start(number);
    else if (!fork()) {
        start(number);
        for (;;) pause();
    }
    while (counts->ready < number) usleep(10000);
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) == 1 && byte != '\n');
    counts->left = now();
    _exit(7);
}
