/* The workload in the containers. A seccomp filter that refuses pyinit a system call refuses it to this program, too, so
 * it has a second way for each call that it needs.
 *
 *     contained serve [ORPHANS]    print "ready", then each signal that arrives; on TERM exit with 7. At the start, leave
 *                                  this many orphans, and a straggler that ignores TERM
 *     contained defy               the same, but do not exit on TERM, and leave no straggler
 *     contained orphans            make orphans for ever, a few at a time
 *     contained eat                use up memory until the kernel kills a process: this one if it can choose
 *     contained spare              have another process for the kernel to kill, in case that it needs one before it has
 *                                  got back the memory of the first
 *     contained fill [PROGRAM...]  fork until fork fails, then exec PROGRAM, or print "full"
 *     contained gate PROGRAM...    exec PROGRAM when USR1 arrives
 *     contained above PROGRAM...   start PROGRAM as a child, and exit with its status
 *     contained refuse CALL ERRNO PROGRAM...
 *                                  exec PROGRAM with a filter that refuses CALL, one that the engine itself needs
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ASKED_TO_STOP = 7, CANNOT = 9, PIECE = 1 << 20 };

static const int STANDARD[] = {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCONT, SIGWINCH};

static int defies;

static void say(const char *word, int number)
{
    char line[64];
    int length = snprintf(line, sizeof line, "%s %d\n", word, number);
    struct iovec vector = {line, length};
    if (write(1, line, length) < 0 && writev(1, &vector, 1) < 0)
        _exit(CANNOT);
}

static void take(int number)
{
    say("signal", number);
    if (number == SIGTERM && !defies)
        _exit(ASKED_TO_STOP);
}

static void doze(void)
{
    static const struct timespec moment = {0, 10000000};
    if (pause() < 0)
        nanosleep(&moment, NULL); /* if pause(2) is refused */
}

static void leave_orphan(void)
{
    pid_t parent = fork();

    if (parent == 0) {
        signal(SIGCHLD, SIG_DFL); /* otherwise the kernel reaps the child if it exits before its parent */
        fork();
        _exit(0);
    }
    if (parent > 0)
        waitpid(parent, NULL, 0); /* otherwise a signal to all processes could end it before it forks */
}

static void leave_straggler(void)
{
    if (fork() == 0) {
        for (int number = 1; number <= SIGRTMAX; number++)
            signal(number, SIG_IGN);
        for (;;)
            doze();
    }
}

static void serve(int orphans)
{
    sigset_t all;
    struct sigaction action = {.sa_handler = take};
    int number, is_refused = 0;

    signal(SIGCHLD, SIG_IGN);
    if (!defies)
        leave_straggler();
    while (orphans--)
        leave_orphan(); /* before we set handlers: a fork inherits them */
    sigfillset(&all);
    action.sa_mask = all; /* print one line at a time */
    for (size_t i = 0; i < sizeof STANDARD / sizeof *STANDARD; i++)
        is_refused |= sigaction(STANDARD[i], &action, NULL);
    for (number = SIGRTMIN; number <= SIGRTMAX; number++)
        is_refused |= sigaction(number, &action, NULL);
    if (is_refused)
        sigprocmask(SIG_BLOCK, &all, NULL);
    say("ready", 0);
    for (;;) {
        if (is_refused && (number = sigwaitinfo(&all, NULL)) > 0 && number != SIGCHLD)
            take(number);
        else
            doze();
    }
}

static void make_orphans(void)
{
    static const struct timespec moment = {0, 2000000};
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        for (int i = 0; i < 5; i++)
            leave_orphan();
        nanosleep(&moment, NULL);
    }
}

static void choose_this(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd < 0 || write(fd, "1000", 4) != 4)
        exit(CANNOT);
}

static void eat(void)
{
    choose_this();
    for (;;) {
        char *piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece != MAP_FAILED)
            memset(piece, 1, PIECE);
    }
}

static void spare(void)
{
    static const struct timespec moment = {0, 2000000};
    for (;;) {
        if (fork() == 0) {
            choose_this();
            char *piece = mmap(NULL, 4 * PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (piece != MAP_FAILED)
                memset(piece, 1, 4 * PIECE);
            for (;;)
                pause();
        }
        if (wait(NULL) < 0) /* fork was refused */
            nanosleep(&moment, NULL);
    }
}

static void become(char **words)
{
    static const char *const FOLDERS[] = {"/usr/local/bin", "/usr/bin"};
    char path[256];
    execvp(*words, words);
    for (size_t i = 0; i < sizeof FOLDERS / sizeof *FOLDERS; i++) { /* if execve(2) is refused */
        snprintf(path, sizeof path, "%s/%s", FOLDERS[i], *words);
        syscall(SYS_execveat, AT_FDCWD, path, words, environ, 0);
    }
    _exit(CANNOT);
}

static void fill(char **words)
{
    int count = 0;
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                doze();
        if (pid < 0)
            break;
        count++;
    }
    if (*words)
        become(words);
    say("full", count);
    for (;;)
        doze();
}

static void pass_gate(char **words)
{
    sigset_t key;
    sigemptyset(&key);
    sigaddset(&key, SIGUSR1);
    sigprocmask(SIG_BLOCK, &key, NULL);
    say("gate", 0);
    sigwaitinfo(&key, NULL);
    sigprocmask(SIG_UNBLOCK, &key, NULL);
    become(words);
}

static void stay_above(char **words)
{
    siginfo_t info;
    int status;
    pid_t pid = vfork(); /* fork(3) uses clone(2), which may be refused */
    if (pid == 0)
        become(words);
    if (waitpid(pid, &status, 0) == pid)
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (waitid(P_PID, pid, &info, WEXITED) == 0)
        exit(info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status);
}

static void refuse(char **words)
{
    static const struct { const char *name; int number; } CALLS[] = {
        {"close", SYS_close}, {"execve", SYS_execve}, {"getdents64", SYS_getdents64},
        {"openat", SYS_openat}, {"write", SYS_write},
    };
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        struct sock_filter filter[] = {
            BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | atoi(words[1])),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
        if (!strcmp(CALLS[i].name, words[0]) && !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
            !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
            become(words + 2);
    }
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    defies = !strcmp(what, "defy");
    if (!strcmp(what, "serve") || defies)
        serve(count > 2 ? atoi(words[2]) : 0);
    else if (!strcmp(what, "orphans"))
        make_orphans();
    else if (!strcmp(what, "eat"))
        eat();
    else if (!strcmp(what, "spare"))
        spare();
    else if (!strcmp(what, "fill"))
        fill(words + 2);
    else if (!strcmp(what, "gate"))
        pass_gate(words + 2);
    else if (!strcmp(what, "above"))
        stay_above(words + 2);
    else if (!strcmp(what, "refuse") && count > 4)
        refuse(words + 2);
    return CANNOT;
}
