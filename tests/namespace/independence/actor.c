/* A workload that takes away things that its parent, pyinit, could depend on. Its arguments are acts, in this order.
 * It is static, so nothing happens before main and the first act. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OTHER_VERSION "raise SystemExit(99)  # of another version\n"

static pid_t *known; /* children and grandchildren, in shared memory */
static volatile int *count;

static void fail(const char *what)
{
    fprintf(stderr, "actor: %s: %s\n", what, strerror(errno));
    _exit(98);
}

static void say(const char *line)
{
    char text[PATH_MAX];
    int length = snprintf(text, sizeof text, "%s\n", line);
    if (write(1, text, length) != length) _exit(97);
}

static void say_number(long number)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", number);
    say(text);
}

static void delay(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Taking things away. */

static void limit(int resource, rlim_t to)
{
    struct rlimit both = {to, to};
    if (prlimit(getppid(), resource, &both, NULL)) fail("prlimit");
}

static rlim_t used(const char *name)
{
    /* In /proc/PID/status, in kB. */
    char path[64], line[256];
    rlim_t found = 0;
    snprintf(path, sizeof path, "/proc/%d/status", getppid());
    FILE *status = fopen(path, "r");
    if (!status) fail(path);
    while (fgets(line, sizeof line, status))
        if (!strncmp(line, name, strlen(name))) found = strtoul(line + strlen(name) + 1, NULL, 10) * 1024;
    fclose(status);
    return found;
}

static int delete_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind;
    return where->level ? remove(path) : 0; /* but not the mount point itself */
}

static int write_other(const char *path, int flags)
{
    int file = open(path, O_WRONLY | O_CREAT | flags, 0755);
    return file < 0 || write(file, OTHER_VERSION, strlen(OTHER_VERSION)) < 0 || close(file);
}

static int replace_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    char other[PATH_MAX];
    (void)about, (void)where;
    if (kind != FTW_F || strstr(path, ".other")) return 0;
    snprintf(other, sizeof other, "%s.other", path);
    return write_other(other, O_EXCL) || rename(other, path);
}

static int overwrite_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)where;
    return kind == FTW_F && write_other(path, O_TRUNC);
}

/* Processes. */

static void asked(int number)
{
    (void)number;
    say("asked");
    _exit(0);
}

static void behave(int is_stubborn)
{
    sigset_t none;
    sigemptyset(&none);
    signal(SIGTERM, is_stubborn ? SIG_IGN : asked);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void start(long number, int is_stubborn)
{
    /* Start children that wait for a signal, and say so when they get SIGTERM; all are ready when this returns. */
    for (long i = 0; i < number; i++) {
        int ready[2];
        char byte;
        if (pipe(ready)) fail("pipe");
        pid_t pid = fork();
        if (pid < 0) fail("fork");
        if (!pid) {
            behave(is_stubborn);
            close(ready[0]);
            close(ready[1]);
            for (;;) pause();
        }
        close(ready[1]);
        if (read(ready[0], &byte, 1)) fail("read");
        close(ready[0]);
        known[(*count)++] = pid;
    }
}

static void abandon(long number, int is_alive)
{
    /* Start children of a child that ends: orphans. They end at once, or wait to be asked. */
    pid_t parent = fork();
    if (parent < 0) fail("fork");
    if (!parent) {
        int end = is_alive ? 0 : (int)number;
        if (is_alive) start(number, 0);
        for (int i = 0; i < end; i++) {
            pid_t pid = fork();
            if (pid < 0) fail("fork");
            if (!pid) _exit(0);
            known[(*count)++] = pid;
        }
        _exit(0);
    }
    waitpid(parent, NULL, 0);
}

static void await_gone(void)
{
    /* Wait until all known processes have ended and were reaped. */
    for (int i = 0; i < *count; i++)
        for (int turn = 0; !kill(known[i], 0); turn++) {
            if (turn > 2000) {
                say("a process is left");
                return;
            }
            delay(5);
        }
    *count = 0;
    say("gone");
}

static void hear(long number)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    while (number-- > 0) say_number(sigwaitinfo(&all, NULL));
}

/* Looking. */

static void show_parents_folder(void)
{
    char path[64], target[PATH_MAX] = "";
    snprintf(path, sizeof path, "/proc/%d/cwd", getppid());
    if (readlink(path, target, sizeof target - 1) < 0) fail(path);
    say(target);
}

static void show_descriptors(void)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) say_number(fd);
}

int main(int words, char **word)
{
    sigset_t all;
    char byte;
    known = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    count = (volatile int *)(known + (1 << 13));
    for (int i = 1; i < words; i++) {
        const char *act = word[i], *what = i + 1 < words ? word[i + 1] : "";
        int is_alone = 0;
        if (!strcmp(act, "take-descriptors")) limit(RLIMIT_NOFILE, atol(what));
        else if (!strcmp(act, "take-memory") && !strcmp(what, "AS")) limit(RLIMIT_AS, used("VmSize"));
        else if (!strcmp(act, "take-memory") && !strcmp(what, "DATA")) limit(RLIMIT_DATA, used("VmData"));
        else if (!strcmp(act, "delete")) nftw(what, delete_one, 16, FTW_DEPTH | FTW_PHYS) && (fail(act), 0);
        else if (!strcmp(act, "cover")) mount("none", what, "tmpfs", 0, NULL) && (fail(act), 0);
        else if (!strcmp(act, "replace")) nftw(what, replace_one, 16, FTW_PHYS) && (fail(act), 0);
        else if (!strcmp(act, "overwrite")) nftw(what, overwrite_one, 16, FTW_PHYS) && (fail(act), 0);
        else if (!strcmp(act, "delay")) delay(atol(what));
        else if (!strcmp(act, "say")) say(what);
        else if (!strcmp(act, "ignore")) signal(atoi(what), SIG_IGN);
        else if (!strcmp(act, "send")) kill(getppid(), atoi(what));
        else if (!strcmp(act, "hear")) hear(atol(what));
        else if (!strcmp(act, "start")) start(atol(what), 0);
        else if (!strcmp(act, "start-stubborn")) start(atol(what), 1);
        else if (!strcmp(act, "orphans")) abandon(atol(what), 0);
        else if (!strcmp(act, "live-orphans")) abandon(atol(what), 1);
        else if (!strcmp(act, "zombies")) {
            for (long left = atol(what); left > 0; left--)
                if (!fork()) _exit(0);
        } else if (!strcmp(act, "die")) {
            signal(atoi(what), SIG_DFL);
            kill(getpid(), atoi(what));
        } else if (!strcmp(act, "exit")) _exit(atoi(what));
        else if (!strcmp(act, "execute")) {
            execvp(what, word + i + 1);
            fail(what);
        } else is_alone = 1;
        if (!is_alone) i++;
        else if (!strcmp(act, "block")) {
            sigfillset(&all);
            sigprocmask(SIG_BLOCK, &all, NULL);
        } else if (!strcmp(act, "await-gone")) await_gone();
        else if (!strcmp(act, "await-line")) while (read(0, &byte, 1) == 1 && byte != '\n');
        else if (!strcmp(act, "pause")) pause();
        else if (!strcmp(act, "show-parents-folder")) show_parents_folder();
        else if (!strcmp(act, "show-descriptors")) show_descriptors();
        else {
            errno = EINVAL;
            fail(act);
        }
    }
    return 0;
}
