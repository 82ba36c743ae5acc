/*
 * Counts passages of fault points in test builds. Which passage fails is said by the environment, so that a runner can
 * walk a program through the 1st, 2nd, ... n-th fault without knowing it.
 */
#include "base/fault.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t passages; /* test builds only: the one counter that all fault points share */
static volatile sig_atomic_t nonsense; /* test builds only: the kind that is asked for */

static void note(const char *name)
{
    const char *path = getenv("SP_FAULT_LOG");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return;
    if (write(fd, name, strlen(name)) > 0 && write(fd, "\n", 1) > 0)
        fsync(fd);
    close(fd);
}

/* For the runner, where the log goes: whether there is an n-th passage at all. */
static void say(const char *name)
{
    char text[80] = "fault: ";
    size_t len = strnlen(name, sizeof(text) - 10);

    memcpy(text + 7, name, len);
    text[7 + len] = '\n';
    (void)!write(STDERR_FILENO, text, len + 8);
}

bool sp_fault_is_due(const char *name)
{
    struct sp_bytes rest = sp_bytes_cstr(getenv("SP_FAULT_AT"));
    struct sp_bytes wanted;
    uint64_t at;
    bool due = false;

    if (getenv("SP_FAULT_LOG") != NULL)
        note(name);
    if (!sp_bytes_split(&rest, ':', &wanted) || !sp_bytes_to_u64(rest, &at))
        return false;
    if (!sp_bytes_eq(wanted, SP_LIT("*")) && !sp_bytes_eq(wanted, sp_bytes_cstr(name)))
        return false;
    pthread_mutex_lock(&lock);
    due = ++passages == at;
    pthread_mutex_unlock(&lock);
    if (due)
        say(name);
    return due;
}

static void on_signal(int number)
{
    nonsense = number - SIGRTMIN;
}

void sp_fault_listen(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    for (int kind = 0; kind < SP_NONSENSE_COUNT; kind++)
        (void)sigaction(SIGRTMIN + kind, &action, NULL);
}

enum sp_nonsense sp_fault_nonsense(void)
{
    return (enum sp_nonsense)nonsense;
}

int64_t sp_fault_clock_offset_ms(int64_t mono_ms)
{
    struct sp_bytes rest = sp_bytes_cstr(getenv("SP_CLOCK_AT"));
    struct sp_bytes step, at;
    int64_t offset_ms = 0;

    while (rest.len > 0) {
        uint64_t when, how_far;
        bool back;

        if (!sp_bytes_split(&rest, ',', &step) || !sp_bytes_split(&step, ':', &at))
            break;
        back = step.len > 0 && step.ptr[0] == '-';
        if (!sp_bytes_to_u64(at, &when) || when > (uint64_t)mono_ms ||
            !sp_bytes_to_u64(sp_bytes_slice(step, back ? 1 : 0, SIZE_MAX), &how_far))
            break;
        offset_ms = back ? -(int64_t)how_far : (int64_t)how_far;
    }
    return offset_ms;
}
