/*
 * Counts passages of fault points in test builds, over all processes of a gateway, on a mapped file: the runner asks one
 * role for its n-th passage of one point and sees whether it came to that, without a word to any process. A mapping needs
 * no call that a sandbox would refuse. Counting down rather than up lets the runner ask again and again in one run.
 */
#include "base/fault.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FREE, NAMING, NAMED };

static struct sp_fault_board *board; /* test builds only: one for the process, set before main() */
static char role_name[24];
static volatile sig_atomic_t nonsense; /* test builds only: the kind that is asked for */

void sp_fault_use_board(const char *path, const char *role)
{
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    struct stat st;
    void *map = MAP_FAILED;

    if (board != NULL)
        (void)munmap(board, sizeof(*board));
    board = NULL;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(*board))
        map = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    if (map == MAP_FAILED)
        return;
    (void)snprintf(role_name, sizeof(role_name), "%s", role);
    board = map;
}

#ifdef SP_FAULTS
static void __attribute__((constructor)) use_board(void)
{
    const char *name = program_invocation_short_name;

    sp_fault_use_board(getenv("SP_FAULT_BOARD"),
                       strcmp(name, "sallyport") == 0 ? "supervisor" : name);
}
#endif

/* returns: whether this row is the name's from now on, or was before */
static bool is_row_of(struct sp_fault_row *row, const char *name)
{
    uint32_t state = FREE;

    if (__atomic_compare_exchange_n(&row->state, &state, NAMING, false, __ATOMIC_ACQUIRE,
                                    __ATOMIC_ACQUIRE)) {
        memcpy(row->name, name, SP_FAULT_NAME_MAX);
        __atomic_store_n(&row->state, NAMED, __ATOMIC_RELEASE);
        return true;
    }
    while (__atomic_load_n(&row->state, __ATOMIC_ACQUIRE) != NAMED)
        ; /* another is between the two lines above */
    return strncmp(row->name, name, SP_FAULT_NAME_MAX) == 0;
}

static void count(const char *name)
{
    uint64_t at = 14695981039346656037U; /* FNV-1a */

    for (const char *c = name; *c != '\0'; c++)
        at = (at ^ (uint8_t)*c) * 1099511628211U;
    for (size_t i = 0; i < SP_FAULT_ROWS; i++) {
        struct sp_fault_row *row = &board->rows[(at + i) % SP_FAULT_ROWS];

        if (!is_row_of(row, name))
            continue;
        __atomic_add_fetch(&row->passed, 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_add_fetch(&board->lost, 1, __ATOMIC_RELAXED);
}

/* returns: whether the wanted text asks for this name, or for any point of its role */
static bool is_wanted(const char *name)
{
    size_t any = strlen(role_name) + 1;

    if (strncmp(board->wanted, name, SP_FAULT_NAME_MAX) == 0)
        return true;
    return strncmp(board->wanted, name, any) == 0 && strcmp(board->wanted + any, "*") == 0;
}

/* For who reads the log. */
static void say(const char *name)
{
    char text[SP_FAULT_NAME_MAX + 16];
    int len = snprintf(text, sizeof(text), "fault: %s\n", name);

    (void)!write(STDERR_FILENO, text, (size_t)len);
}

bool sp_fault_is_due(const char *point)
{
    char name[SP_FAULT_NAME_MAX] = "";
    uint64_t left;

    if (board == NULL)
        return false;
    (void)snprintf(name, sizeof(name), "%s:%s", role_name, point);
    count(name);
    left = __atomic_load_n(&board->left, __ATOMIC_ACQUIRE);
    if (left == 0 || !is_wanted(name))
        return false;
    while (left > 0 && !__atomic_compare_exchange_n(&board->left, &left, left - 1, false,
                                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        ;
    if (left != 1)
        return false;
    say(name);
    __atomic_add_fetch(&board->struck, 1, __ATOMIC_RELEASE);
    return true;
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

    if (board != NULL)
        return __atomic_load_n(&board->clock_off_ms, __ATOMIC_ACQUIRE);
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
