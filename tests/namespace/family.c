/* A workload that is a family of processes. Its arguments describe it:
 *
 *     NAME BEHAVIOUR [ARGUMENT]... [{ CHILD... }]
 *
 * A child is described likewise. `|` between two children: the standard output of the first is a pipe, which is the
 * standard input of the second. Each process writes to the first one's standard output when it is ready, when it gets
 * SIGTERM (if it catches that) and from which process, and when it has saved its work. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum behaviour {
    DIE,     /* dies of SIGTERM */
    WORK,    /* dies of SIGTERM; without it, saves after SECONDS */
    FINISH,  /* dies of SIGTERM; without it, saves SECONDS after another member has caught it */
    CRASH,   /* dies of SIGSEGV after SECONDS */
    EXIT,    /* exits after SECONDS with STATUS */
    FILTER,  /* dies of SIGTERM; says each line of its input, after SECONDS each; saves after the last */
    IGNORE,  /* ignores SIGTERM; ends when its children have ended */
    DEAF,    /* ignores SIGTERM; never ends */
    SAVE,    /* catches SIGTERM, and saves SECONDS later */
    AWAIT,   /* catches SIGTERM, and saves when its children have ended */
    HAND_ON, /* the same, but sends them SIGTERM first */
    WRITE,   /* catches SIGTERM; then writes LINES lines to its output, after SECONDS each; saves */
    ABORT,   /* catches SIGTERM, and aborts */
    FORK_AWAIT, /* catches SIGTERM; the handler forks a child that saves after SECONDS. Saves after it */
    FORK_LEAVE, /* catches SIGTERM; the handler forks a child that catches it, too, and saves SECONDS later. Saves at
                   once */
    LINE,    /* exits with STATUS after a line on its standard input, or at its end */
};

static const struct {
    const char *name;
    int arguments;
} behaviours[] = {
    [DIE] = {"die", 0},     [WORK] = {"work", 1},       [FINISH] = {"finish", 1}, [CRASH] = {"crash", 1},
    [EXIT] = {"exit", 2},
    [FILTER] = {"filter", 1}, [IGNORE] = {"ignore", 0}, [DEAF] = {"deaf", 0},   [SAVE] = {"save", 1},
    [AWAIT] = {"await", 0}, [HAND_ON] = {"hand-on", 0}, [WRITE] = {"write", 2}, [ABORT] = {"abort", 0},
    [FORK_AWAIT] = {"fork-await", 1}, [FORK_LEAVE] = {"fork-leave", 1}, [LINE] = {"line", 1},
};

struct process {
    const char *name;
    enum behaviour behaviour;
    double argument[2];
    int reads; /* the output of the sibling before it */
    struct process *first_child, *next;
};

static struct process *self;
static int out; /* where lines are said, whatever our standard output is */
static volatile sig_atomic_t is_asked;
static volatile sig_atomic_t *is_any_asked; /* in shared memory */
static volatile pid_t heir = -1; /* what the handler has forked; 0 in that process itself */

static void fail(const char *what)
{
    fprintf(stderr, "family: %s: %s\n", what, strerror(errno));
    _exit(98);
}

static void say(const char *format, ...)
{
    char text[256];
    va_list arguments;
    int length = snprintf(text, sizeof text, "%s ", self->name);
    va_start(arguments, format);
    length += vsnprintf(text + length, sizeof text - length - 1, format, arguments);
    va_end(arguments);
    text[length++] = '\n';
    if (write(out, text, length) != length) _exit(97);
}

/* The description. */

static const char **word; /* the next one */

static struct process *read_process(void)
{
    struct process *found = calloc(1, sizeof *found), **next = &found->first_child;
    int is_piped = 0;
    found->name = *word++;
    while (found->behaviour <= LINE && *word && strcmp(behaviours[found->behaviour].name, *word)) found->behaviour++;
    if (!*word || found->behaviour > LINE) {
        errno = EINVAL;
        fail(found->name);
    }
    word++;
    for (int i = 0; i < behaviours[found->behaviour].arguments; i++) {
        if (!*word) exit(96);
        found->argument[i] = strtod(*word++, NULL);
    }
    if (!*word || strcmp(*word, "{")) return found;
    for (word++; *word && strcmp(*word, "}");) {
        if (!strcmp(*word, "|")) {
            is_piped = 1;
            word++;
            continue;
        }
        *next = read_process();
        (*next)->reads = is_piped;
        is_piped = 0;
        next = &(*next)->next;
    }
    if (!*word) exit(95);
    word++;
    return found;
}

/* Its life. */

static void become_heir(void)
{
    static char name[16]; /* as long as the kernel allows */
    snprintf(name, sizeof name, "%s-heir", self->name);
    self->name = name;
    prctl(PR_SET_NAME, name);
    if (self->behaviour == FORK_AWAIT) signal(SIGTERM, SIG_DFL);
    else is_asked = 0;
}

static void asked(int number, siginfo_t *info, void *context)
{
    int before = errno;
    (void)number, (void)context;
    is_asked = *is_any_asked = 1;
    say("TERM from %d", (int)info->si_pid);
    if (heir < 0 && (self->behaviour == FORK_AWAIT || self->behaviour == FORK_LEAVE)) {
        heir = fork();
        if (heir < 0) fail("fork");
        if (!heir) become_heir();
    }
    errno = before;
}

static void nap(double seconds)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += (time_t)seconds;
    end.tv_nsec += (long)((seconds - (time_t)seconds) * 1e9);
    if (end.tv_nsec >= 1000000000) end.tv_sec++, end.tv_nsec -= 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR);
}

static void await_request(void)
{
    while (!is_asked) nap(0.01); /* SIGTERM is never blocked: init would see that */
}

static void await_children(void)
{
    while (wait(NULL) > 0 || errno == EINTR);
}

static void save(void)
{
    say("saved");
    _exit(0);
}

static void filter(double seconds)
{
    char line[128];
    FILE *input = fdopen(0, "r");
    setvbuf(input, NULL, _IONBF, 0); // it reads only what it has time to pass on
    while (fgets(line, sizeof line, input)) {
        line[strcspn(line, "\n")] = 0;
        nap(seconds);
        say("%s", line);
    }
}

static void start_children(void);

static void be(struct process *process)
{
    struct sigaction action = {.sa_sigaction = asked, .sa_flags = SA_SIGINFO | SA_RESTART};
    char byte;
    double first = process->argument[0];
    self = process;
    is_asked = 0;
    prctl(PR_SET_NAME, process->name);
    start_children();
    if (process->behaviour < IGNORE || process->behaviour == LINE) action.sa_handler = SIG_DFL;
    else if (process->behaviour < SAVE) action.sa_handler = SIG_IGN;
    if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN) action.sa_flags = 0;
    if (sigaction(SIGTERM, &action, NULL)) fail("sigaction");
    say("ready %d", (int)getpid());
    switch (process->behaviour) {
    case DIE: case DEAF: for (;;) pause();
    case WORK: nap(first); break;
    case FINISH:
        while (!*is_any_asked) nap(0.01);
        nap(first);
        break;
    case CRASH: nap(first); raise(SIGSEGV); break;
    case EXIT: nap(first); _exit((int)process->argument[1]);
    case FILTER: filter(first); break;
    case IGNORE: await_children(); break;
    case SAVE: await_request(); nap(first); break;
    case AWAIT: await_request(); await_children(); break;
    case HAND_ON:
        await_request();
        for (struct process *child = process->first_child; child; child = child->next)
            kill((pid_t)child->argument[0], SIGTERM); /* where start_children has left it */
        await_children();
        break;
    case WRITE:
        await_request();
        for (int i = 1; i <= (int)first; i++) {
            nap(process->argument[1]);
            dprintf(1, "line %d\n", i);
        }
        break;
    case FORK_AWAIT: case FORK_LEAVE:
        await_request();
        if (!heir) nap(first);
        else if (self->behaviour == FORK_AWAIT) await_children();
        break;
    case ABORT: await_request(); abort();
    case LINE:
        while (read(0, &byte, 1) == 1 && byte != '\n');
        _exit((int)first);
    }
    save();
}

static void start_children(void)
{
    int input = -1, ends[2];
    for (struct process *child = self->first_child; child; child = child->next) {
        ends[0] = ends[1] = -1;
        if (child->next && child->next->reads && pipe(ends)) fail("pipe");
        pid_t pid = fork();
        if (pid < 0) fail("fork");
        if (!pid) {
            if (input >= 0) dup2(input, 0), close(input);
            if (ends[1] >= 0) dup2(ends[1], 1), close(ends[1]), close(ends[0]);
            be(child);
        }
        if (input >= 0) close(input);
        if (ends[1] >= 0) close(ends[1]);
        input = ends[0];
        if (self->behaviour == HAND_ON) child->argument[0] = pid;
    }
}

int main(int words, const char **arguments)
{
    (void)words;
    word = arguments + 1;
    if (!*word) return 96;
    struct process *first = read_process();
    if (*word) return 95;
    out = fcntl(1, F_DUPFD_CLOEXEC, 10);
    if (out < 0) fail("standard output");
    is_any_asked = mmap(NULL, sizeof *is_any_asked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (is_any_asked == MAP_FAILED) fail("memory");
    be(first);
}
