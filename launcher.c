/*
 * The command `pyinit` of a wheel: starts launcher.py in an isolated interpreter.
 *
 * A script cannot do that. pip and uv write its `#!` line, without the options that isolate (-I -S -B), and a shell does
 * not pass on every environment variable. This program uses system calls alone, so it runs with any C library or none.
 *
 * It is installed beside `pyinitctl`, whose `#!` line names the interpreter, and launcher.py in ../share/pyinit.
 */

#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>

enum { CANNOT_START = 125, LONGEST = 4096 /* bytes of a path: PATH_MAX */ };

/* The first instruction passes on the stack that execve(2) has set up. `call` makes a system call: see syscall(2). */
#if defined __x86_64__
__asm__(".globl _start\n_start: mov %rsp, %rdi\n\tcall start");

static long call(long number, long first, const void *second, const void *third, long fourth)
{
    register long r10 __asm__("r10") = fourth;
    __asm__ volatile("syscall" : "+a"(number) : "D"(first), "S"(second), "d"(third), "r"(r10) : "rcx", "r11", "memory");
    return number;
}
#elif defined __aarch64__
__asm__(".globl _start\n_start: mov x0, sp\n\tbl start");

static long call(long number, long first, const void *second, const void *third, long fourth)
{
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = first, x3 __asm__("x3") = fourth;
    register const void *x1 __asm__("x1") = second, *x2 __asm__("x2") = third;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "not written for this machine"
#endif

/* Append a string at `end`; return its new end. */
static char *append(char *end, const char *text)
{
    while ((*end = *text))
        end++, text++;
    return end;
}

/* Where the last component of a path begins. */
static char *name_of(char *path)
{
    char *name = path;
    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

/* Read the interpreter's path from the `#!` line of a script into `path`, which is empty if there is none. */
static void read_interpreter(const char *script, char *path)
{
    char start[LONGEST];
    long file = call(__NR_openat, AT_FDCWD, script, (void *)(O_RDONLY | O_CLOEXEC), 0);
    long length = call(__NR_read, file, start, (void *)LONGEST, 0);
    call(__NR_close, file, 0, 0, 0);
    if (length > 2 && start[0] == '#' && start[1] == '!')
        for (long i = 2; i < length && start[i] != ' ' && start[i] != '\n'; i++)
            *path++ = start[i];
    *path = 0;
}

/* Become the interpreter, if this command was installed as `path`. Returns if not. */
static void start_from(const char *path, const char **words, void *environment)
{
    static char launcher[2 * LONGEST], beside[2 * LONGEST], named[LONGEST];
    char *name;
    append(launcher, path);
    append(name_of(launcher), "../share/pyinit/launcher.py");
    if (call(__NR_faccessat, AT_FDCWD, launcher, 0, 0))
        return;
    words[3] = launcher;
    append(beside, path);
    name = name_of(beside);
    append(name, "pyinitctl");
    read_interpreter(beside, named);
    words[0] = named;
    if (name_of(named)[0] == 'p') /* not the shell that an installer uses if the path is too long for `#!` */
        call(__NR_execve, (long)named, words, environment, 0);
    append(name, "python3"); /* the virtual environment may have been moved */
    words[0] = beside;
    call(__NR_execve, (long)beside, words, environment, 0);
}

void start(long *stack)
{
    long count = stack[0];
    char **arguments = (char **)stack + 1, **environment = arguments + count + 1, **end = environment;
    char own[LONGEST + 1], name[LONGEST + 8], *invoked = "pyinit";
    const char *words[count + 5];
    long length = 0;

    while (*end)
        end++;
    for (unsigned long *vector = (unsigned long *)end + 1; vector[0] != AT_NULL; vector += 2)
        if (vector[0] == AT_EXECFN)
            invoked = (char *)vector[1];
    while (count && length < LONGEST && arguments[0][length])
        length++;
    /* A path; in a `#!` line, where AT_EXECFN is the script's. */
    if (count && length < LONGEST && name_of(arguments[0]) != arguments[0])
        invoked = arguments[0];

    words[1] = "-ISBXutf8";
    append(append(name, "-Xname="), name_of(invoked));
    words[2] = name;
    words[4] = 0;
    for (long i = 1; i <= count; i++) /* and the null after them */
        words[i + 3] = arguments[i];

    length = call(__NR_readlinkat, AT_FDCWD, "/proc/self/exe", own, LONGEST);
    own[length > 0 ? length : 0] = 0;
    start_from(own, words, environment);
    start_from(invoked, words, environment);

    static const char complaint[] = "pyinit: cannot start: no ../share/pyinit beside this command, or no interpreter\n";
    call(__NR_write, 2, complaint, (void *)(sizeof complaint - 1), 0);
    call(__NR_exit_group, CANNOT_START, 0, 0, 0);
}
