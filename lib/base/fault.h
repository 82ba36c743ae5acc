/*
 * SP_FAULT("queue.sync") marks where disk, memory or a process may fail. In test builds (SP_FAULTS) it is true on the
 * one passage that a board asks for, in other builds it is the constant false. The board is a file that the runner and all
 * processes share, named by the environment variable SP_FAULT_BOARD when a process starts: it says in which role which
 * point is to fail, and after how many passages from now, and counts the passages of every point in every role.
 * thread: any
 *
 * SP_NONSENSE() says what a role answers instead of the truth: in test builds the signal SIGRTMIN + kind asks for it.
 */
#ifndef SP_BASE_FAULT_H
#define SP_BASE_FAULT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

enum sp_nonsense {
    SP_NONSENSE_OFF,
    SP_NONSENSE_NOISE,  /* as many other bytes */
    SP_NONSENSE_HALF,   /* the first half */
    SP_NONSENSE_FRAME,  /* no answer at all, but something in its place */
    SP_NONSENSE_ERROR,  /* an error that is none */
    SP_NONSENSE_SILENT, /* nothing */
    SP_NONSENSE_COUNT
};

#ifdef SP_FAULTS
#define SP_FAULT(name) sp_fault_is_due(name)
#define SP_FAULT_ERRNO(name, number)                                                               \
    (sp_fault_is_due(name) &&                                                                      \
     ((errno = (number)) != 0)) /* as SP_FAULT, and leaves errno as a call would */
#define SP_NONSENSE()        sp_fault_nonsense()
#define SP_NONSENSE_LISTEN() sp_fault_listen()
#else
#define SP_FAULT(name)               false
#define SP_FAULT_ERRNO(name, number) false
#define SP_NONSENSE()                SP_NONSENSE_OFF
#define SP_NONSENSE_LISTEN()         ((void)0)
#endif

/*
 * Test builds: how far the wall clock is off now, as the board says. Without a board by the environment variable SP_CLOCK_AT:
 * "MONO:OFFSET,..." in milliseconds, of which the last one whose time on the monotonic clock has come holds. Other builds: 0.
 * thread: any
 */
#ifdef SP_FAULTS
#define SP_FAULT_CLOCK(mono_ms) sp_fault_clock_offset_ms(mono_ms)
#else
#define SP_FAULT_CLOCK(mono_ms) ((int64_t)0)
#endif

/* returns: the offset in milliseconds. Use the macro. */
int64_t sp_fault_clock_offset_ms(int64_t mono_ms);

/* returns: whether this passage is to fail. Use the macro. */
bool sp_fault_is_due(const char *name);

#define SP_FAULT_NAME_MAX 48   /* bytes of "role:point" with its NUL */
#define SP_FAULT_ROWS     1024 /* pairs of role and point */

/* What the file of SP_FAULT_BOARD holds, in this machine's byte order. All zero: nothing is asked for, nothing passed. */
struct sp_fault_board {
    char wanted[64]; /* "role:point", or "role:*" for any point of that role; set while left is 0 */
    uint64_t left;   /* passages until it strikes; 1: the next one. 0: nothing is asked for */
    uint64_t struck; /* how often it has */
    uint64_t lost;   /* passages that found no row */
    int64_t clock_off_ms; /* how far the wall clock is off, in all roles from this moment on */
    uint64_t unused[4];
    struct sp_fault_row {
        uint32_t state; /* 0 free, 1 being named, 2 named */
        uint32_t unused;
        uint64_t passed;
        char name[SP_FAULT_NAME_MAX];
    } rows[SP_FAULT_ROWS];
};

/*
 * Test builds do this before main(), so that no sandbox is in the way; the supervisor's role is "supervisor". Points are
 * counted under this role from now on. NULL, or a file that can't be mapped: no point fails any more.
 */
void sp_fault_use_board(const char *path, const char *role);
/* Takes the signals from now on. Use the macro. */
void sp_fault_listen(void);
/* returns: what is asked for now. Use the macro. */
enum sp_nonsense sp_fault_nonsense(void);

#endif
